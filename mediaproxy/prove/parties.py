"""The synthetic people of a proof: what they say is theirs to choose, packet by packet."""

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mediaproxy.loadtest.phone import Invited, Over, Phone, Talking
from mediaproxy.loadtest.stream import Stream
from mediaproxy.net import Endpoint
from mediaproxy.prove.plan import Unproven
from mediaproxy.transport.sip_transport import SipTransport

SETUP_S = 5.0


@dataclass(slots=True)
class Line:
    """One call as one party has it: its telephone's number for it, and its voice."""

    call: int
    stream: Stream
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False


class Party:
    """A telephone with many lines. As the called one it answers at once; `answered` tells whose call."""

    def __init__(self, user: str) -> None:
        self._phone = Phone(user, random=os.urandom)
        self._sip: SipTransport[Any] = SipTransport(self._phone, self._on_output)
        self._lines: dict[int, Line] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self.answered: dict[str, Line] = {}

    async def start(self, at: Endpoint) -> None:
        self._at = at
        await self._sip.start([("udp", at)])

    async def stop(self) -> None:
        for line in self._lines.values():
            await line.stream.close()
        await self._sip.stop()

    async def call(self, number: str, proxy: Endpoint, *, caller: str) -> Line:
        """As `caller`; returns when both can talk."""
        flow = self._sip.flow_to("udp", proxy)
        if flow is None:
            raise Unproven("the caller's telephone has no socket")
        stream = await self._voice()
        call = self._phone.invite(
            number, flow, media=stream.endpoint, now_ns=time.monotonic_ns(), caller=caller
        )
        line = self._lines[call] = Line(call, stream)
        self._sip.settle()
        try:
            async with asyncio.timeout(SETUP_S):
                await line.talking.wait()
        except TimeoutError as error:
            raise Unproven("a call was not answered in time") from error
        if line.over:
            raise Unproven("a call was refused")
        return line

    def hang_up(self, line: Line) -> None:
        self._phone.hang_up(line.call, now_ns=time.monotonic_ns())
        self._sip.settle()

    def inform(self, line: Line, digit: str) -> None:
        """A digit by SIP INFO."""
        body = f"Signal={digit}\r\nDuration=160\r\n".encode()
        self._phone.send_info(line.call, "application/dtmf-relay", body, now_ns=time.monotonic_ns())
        self._sip.settle()

    async def _voice(self) -> Stream:
        return await Stream.open(self._at.host, np.zeros(160, dtype=np.int16))

    def _on_output(self, output: object) -> None:
        match output:
            case Invited(call, caller):
                task = asyncio.get_running_loop().create_task(self._answer(call, caller))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case Talking(call, media):
                line = self._lines[call]
                line.stream.speak(media)
                line.talking.set()
            case Over(call) if call in self._lines:
                self._lines[call].over = True
                self._lines[call].talking.set()

    async def _answer(self, call: int, caller: str) -> None:
        stream = await self._voice()
        self.answered[caller] = self._lines[call] = Line(call, stream)
        self._phone.answer(call, media=stream.endpoint, now_ns=time.monotonic_ns())
        self._sip.settle()
