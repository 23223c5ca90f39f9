"""The carrier and the agent: two telephones with many lines, with our own SIP."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mediaproxy.loadtest.phone import Invited, Over, Phone, Talking
from mediaproxy.loadtest.plan import Broken
from mediaproxy.loadtest.schedule import Stream
from mediaproxy.loadtest.subject import NUMBER, Addresses
from mediaproxy.net import Endpoint
from mediaproxy.transport.sip_transport import SipTransport

PATIENCE_S = 15.0
_FIRST_CALLER = 15557000000


@dataclass(slots=True)
class Line:
    """One call as its two parties know it; times are monotonic nanoseconds. The caller is its name."""

    number: int
    caller: str
    caller_sends_to: Endpoint | None = None
    callee_sends_to: Endpoint | None = None
    answered_ns: int = 0
    hung_up_ns: int = 0
    status: int | None = None  # that of a refusal
    talking: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def streams(self) -> tuple[Stream, Stream]:
        assert self.caller_sends_to is not None
        assert self.callee_sends_to is not None
        first = 2 * self.number
        return Stream(first, *self.caller_sends_to), Stream(first + 1, *self.callee_sends_to)


class Parties:
    """`media` tells from where a stream of RTP (2 × call + leg) comes."""

    def __init__(self, addresses: Addresses, media: Callable[[int], tuple[str, int]]) -> None:
        self._addresses = addresses
        self._media = media
        self._carrier = Phone("carrier", random=os.urandom)
        self._agent = Phone("alice", random=os.urandom)
        self._at_carrier: SipTransport[Any] = SipTransport(self._carrier, self._carrier_hears)
        self._at_agent: SipTransport[Any] = SipTransport(self._agent, self._agent_hears)
        self._by_name: dict[str, Line] = {}
        self._placed: dict[int, Line] = {}  # by the carrier's numbers
        self._taken: dict[int, Line] = {}  # by the agent's
        self._calls: dict[int, int] = {}  # line to the carrier's number

    async def start(self) -> None:
        await self._at_carrier.start([("udp", self._addresses.carrier)])
        await self._at_agent.start([("udp", self._addresses.agent)])

    async def stop(self) -> None:
        await self._at_carrier.stop()
        await self._at_agent.stop()

    async def place(self, number: int) -> Line:
        """Call, and return when both talk; `Broken` when they never do."""
        line = Line(number, f"+{_FIRST_CALLER + number}")
        self._by_name[line.caller] = line
        flow = self._at_carrier.flow_to("udp", self._addresses.proxy)
        assert flow is not None
        call = self._carrier.invite(
            NUMBER,
            flow,
            media=Endpoint(*self._media(2 * number)),
            now_ns=time.monotonic_ns(),
            caller=line.caller,
        )
        self._placed[call], self._calls[number] = line, call
        self._at_carrier.settle()
        await _within(line.talking, f"call {number} was not answered")
        if line.status is not None:
            raise Broken(f"call {number} was answered with {line.status}")
        return line

    async def hang_up(self, line: Line) -> None:
        """The carrier hangs up; returns when the agent has heard of it."""
        if not line.over.is_set():
            line.hung_up_ns = time.monotonic_ns()
            self._carrier.hang_up(self._calls[line.number], now_ns=line.hung_up_ns)
            self._at_carrier.settle()
        await _within(line.over, f"the end of call {line.number} did not reach the agent")

    def _carrier_hears(self, output: object) -> None:
        match output:
            case Talking():
                line = self._placed[output.call]
                line.caller_sends_to = output.media
                line.talking.set()
            case Over():
                line = self._placed[output.call]
                line.status = output.status
                line.talking.set()
                line.over.set()

    def _agent_hears(self, output: object) -> None:
        match output:
            case Invited():
                self._answer(output)
            case Talking():
                self._taken[output.call].callee_sends_to = output.media
            case Over() if output.call in self._taken:
                self._taken[output.call].over.set()

    def _answer(self, invited: Invited) -> None:
        line = self._by_name.get(invited.caller)
        if line is None:
            return  # none of ours; it goes unanswered and is found missing
        self._taken[invited.call] = line
        line.answered_ns = time.monotonic_ns()
        media = Endpoint(*self._media(2 * line.number + 1))
        self._agent.answer(invited.call, media=media, now_ns=line.answered_ns)
        self._at_agent.settle()


async def _within(event: asyncio.Event, otherwise: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            await event.wait()
    except TimeoutError:
        raise Broken(f"{otherwise} within {PATIENCE_S:.0f} s") from None
