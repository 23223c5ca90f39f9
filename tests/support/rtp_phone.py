"""The media half of the scripted telephone: speaks a time-coded stream, keeps what it hears.

Packets go out at absolute times, so a late wake-up delays one packet and never the stream; every
packet in and out is kept with its monotonic time.
"""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.rtp_oracle import G711, PCMU, PTIME_SAMPLES, RATE_HZ, Pcm, RtpPacket, digit_payload, spoken
from tests.support.sip_wire import Address

DIGIT_TYPE = 101
DIGIT_END_PACKETS = 3  # RFC 4733, 2.5.1.4
MAX_DATAGRAM = 65536
Plan = Callable[[int], float | None]  # packet number -> seconds of delay, or None: lost


def on_time(number: int) -> float | None:
    return 0.0


@dataclass(frozen=True, slots=True)
class Kept:
    at_ns: int
    peer: Address
    raw: bytes

    @property
    def packet(self) -> RtpPacket:
        return RtpPacket.parse(self.raw)


class RtpPhone:
    """One RTP socket. `speak()` starts a stream of `codes` to `remote`; `received` is what came."""

    def __init__(
        self, host: str, port: int = 0, *, codes: bytes, law: G711 = PCMU, ssrc: int = 0x5EED0001,
        plan: Plan = on_time, first_seq: int = 65500, first_timestamp: int = 0xFFFFF000,
    ) -> None:  # fmt: skip
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind((host, port))
        self.socket.setblocking(False)
        self.local: Address = self.socket.getsockname()[:2]
        self.remote: Address | None = None
        self.codes, self.law, self.ssrc, self.plan = codes, law, ssrc, plan
        self.muted = False
        self.sent: list[Kept] = []
        self.received: list[Kept] = []
        self._seq, self._timestamp = first_seq, first_timestamp
        self._digits: list[tuple[str, asyncio.Future[None]]] = []
        self._task: asyncio.Task[None] | None = None
        asyncio.get_running_loop().add_reader(self.socket, self._receive)

    def _receive(self) -> None:
        while True:
            try:
                raw, source = self.socket.recvfrom(MAX_DATAGRAM)
            except BlockingIOError:
                return
            self.received.append(Kept(time.monotonic_ns(), source[:2], raw))

    def send(self, raw: bytes, to: Address | None = None) -> None:
        """Exactly these bytes, now."""
        target = to or self.remote
        assert target, "no remote yet"
        self.socket.sendto(raw, target)
        self.sent.append(Kept(time.monotonic_ns(), target, raw))

    def speak(self, remote: Address | None = None) -> None:
        self.remote = remote or self.remote
        if self._task is None:
            self._task = asyncio.create_task(self._speak())

    async def hush(self) -> None:
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def dial(self, digits: str, *, between_s: float = 0.08) -> None:
        """RFC 4733 events in place of audio, each 100 ms long; returns when the last one is out."""
        for digit in digits:
            done = asyncio.get_running_loop().create_future()
            self._digits.append((digit, done))
            await done
            await asyncio.sleep(between_s)

    async def close(self) -> None:
        await self.hush()
        asyncio.get_running_loop().remove_reader(self.socket)
        self.socket.close()

    def said(self) -> Pcm:
        """What this telephone said, along its own timestamps."""
        return spoken((kept.packet for kept in self.sent), self.law)

    def heard(self, ssrc: int | None = None) -> list[RtpPacket]:
        packets = [kept.packet for kept in self.received]
        return [p for p in packets if ssrc is None or p.ssrc == ssrc]

    async def _speak(self) -> None:
        loop, number = asyncio.get_running_loop(), 0
        begun = loop.time()
        while True:
            if self._digits:
                digit, done = self._digits.pop(0)
                number = await self._send_digit(digit, begun, number)
                if not done.cancelled():
                    done.set_result(None)
            else:
                self._send_audio(number)
                number += 1
            await asyncio.sleep(begun + number * PTIME_SAMPLES / RATE_HZ - loop.time())

    def _send_audio(self, number: int) -> None:
        at = number * PTIME_SAMPLES % (len(self.codes) - PTIME_SAMPLES)
        packet = self._next(self.law.payload_type, self.codes[at : at + PTIME_SAMPLES], marker=number == 0)
        delay = self.plan(number)
        self._timestamp += PTIME_SAMPLES
        if self.muted:
            return
        self._seq += 1
        if delay is None:
            return
        if delay:
            asyncio.get_running_loop().call_later(delay, self._send_late, packet.encode())
        else:
            self.send(packet.encode())

    def _send_late(self, raw: bytes) -> None:
        if self.socket.fileno() >= 0:
            self.send(raw)

    async def _send_digit(self, digit: str, begun: float, number: int) -> int:
        """Five updates at 20 ms, then the end three times; the audio stream's clock goes on."""
        loop, steps = asyncio.get_running_loop(), 5
        for step in range(1, steps + 1):
            payload = digit_payload(digit, duration=step * PTIME_SAMPLES, end=False)
            self.send(self._next(DIGIT_TYPE, payload, marker=step == 1).encode())
            self._seq += 1
            await asyncio.sleep(begun + (number + step) * PTIME_SAMPLES / RATE_HZ - loop.time())
        for _ in range(DIGIT_END_PACKETS):
            payload = digit_payload(digit, duration=(steps + 1) * PTIME_SAMPLES, end=True)
            self.send(self._next(DIGIT_TYPE, payload).encode())
            self._seq += 1
        self._timestamp += (steps + 1) * PTIME_SAMPLES
        return number + steps + 1

    def _next(self, payload_type: int, payload: bytes, *, marker: bool = False) -> RtpPacket:
        return RtpPacket(payload_type, self._seq, self._timestamp, self.ssrc, payload, marker)
