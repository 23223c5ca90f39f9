"""The demo's world on loopback: a configuration, the two parties, and the API as an agent's click uses it."""

import asyncio
import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mediaproxy.audio.voice import HIGH, LOW, Speaker, speak
from mediaproxy.loadtest.api import free_endpoint
from mediaproxy.loadtest.phone import Invited, Over, Phone, Ringing, Talking
from mediaproxy.loadtest.stream import Stream
from mediaproxy.net import Endpoint
from mediaproxy.transport.sip_transport import SipTransport

PROXY, CARRIER, AGENT = "127.0.0.1", "127.0.0.2", "127.0.0.3"
NUMBER = "+15550100"
TIMEOUT_S = 5.0

CONFIGURATION = """\
# Written by `mediaproxy demo`: everything on loopback, any free ports.
[sip]
listen = ["udp:{proxy}"]
domain = "pbx.example"

[media]
address = "127.0.0.1"
ports = "40000-40999"

[api]
listen = "{api}"
tokens = [
  {{token = "{admin}", role = "admin"}},
  {{token = "{alice}", role = "agent", agent = "alice"}},
]

[storage]
directory = "recordings"

[database]
url = "sqlite:///calls.sqlite"

[recording]
policy = "on_demand"
dtmf = {{start = "*1", stop = "*2", toggle = "*3"}}

[[trunks]]
name = "carrier"
address = "{carrier}"
sources = ["127.0.0.2/32"]

[[agents]]
name = "alice"
contact = "sip:alice@{agent}"

[[routes]]
from = "trunk:carrier"
to = "+15550100"
agent = "alice"
"""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everybody is, on free ports, and the tokens of this run."""

    proxy: Endpoint
    carrier: Endpoint
    agent: Endpoint
    api: Endpoint
    admin: str
    alice: str

    @classmethod
    def free(cls) -> "Addresses":
        return cls(
            proxy=free_endpoint(PROXY, socket.SOCK_DGRAM),
            carrier=free_endpoint(CARRIER, socket.SOCK_DGRAM),
            agent=free_endpoint(AGENT, socket.SOCK_DGRAM),
            api=free_endpoint(PROXY, socket.SOCK_STREAM),
            admin=secrets.token_urlsafe(12),
            alice=secrets.token_urlsafe(12),
        )

    def write(self, directory: Path) -> Path:
        """The configuration, readable by its owner alone: it holds the tokens."""
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / "mediaproxy.toml"
        file.touch(0o600)
        file.write_text(
            CONFIGURATION.format(
                proxy=self.proxy,
                carrier=self.carrier,
                agent=self.agent,
                api=self.api,
                admin=self.admin,
                alice=self.alice,
            )
        )
        return file


class Party:
    """A synthetic person on a synthetic telephone with a synthetic voice."""

    def __init__(self, user: str, speaker: Speaker, *, seconds: float, seed: int) -> None:
        self.ringing = asyncio.Event()
        self.talking = asyncio.Event()
        self.over = asyncio.Event()
        self.status: int | None = None
        self.invited: asyncio.Queue[int] = asyncio.Queue()
        self._voice = speak(speaker, seconds, seed=seed)
        self._phone = Phone(user, random=os.urandom)
        self._sip: SipTransport[Any] = SipTransport(self._phone, self._on_output)
        self.level = 0.0  # of what is heard, 0 to 1

    async def start(self, at: Endpoint) -> None:
        self._flow_at = at
        await self._sip.start([("udp", at)])
        self._stream = await Stream.open(at.host, self._voice, self._hear)

    async def stop(self) -> None:
        await self._stream.close()
        await self._sip.stop()

    def call(self, number: str, proxy: Endpoint) -> int:
        flow = self._sip.flow_to("udp", proxy)
        assert flow is not None
        call = self._phone.invite(number, flow, media=self._stream.endpoint, now_ns=time.monotonic_ns())
        self._sip.settle()
        return call

    def ring(self, call: int) -> None:
        self._phone.ring(call, now_ns=time.monotonic_ns())
        self._sip.settle()

    def answer(self, call: int) -> None:
        self._phone.answer(call, media=self._stream.endpoint, now_ns=time.monotonic_ns())
        self._sip.settle()

    def hang_up(self, call: int) -> None:
        self._phone.hang_up(call, now_ns=time.monotonic_ns())
        self._sip.settle()

    def dial(self, digits: str) -> None:
        self._stream.dial(digits)

    def _hear(self, pcm: npt.NDArray[np.int16]) -> None:
        self.level = float(np.abs(pcm.astype(np.int32)).mean()) / 4_000

    def _on_output(self, output: object) -> None:
        match output:
            case Invited():
                self.invited.put_nowait(output.call)
            case Ringing():
                self.ringing.set()
            case Talking():
                self._stream.speak(output.media)
                self.talking.set()
            case Over():
                self.status = output.status
                self.over.set()


def carrier(seconds: float) -> Party:
    return Party("+15559876", LOW, seconds=seconds, seed=7)


def agent(seconds: float) -> Party:
    return Party("alice", HIGH, seconds=seconds, seed=11)
