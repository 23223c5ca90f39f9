"""The RTP of one synthetic party: speaks PCM in real time, dials digits, hears what comes back."""

import asyncio
import os
from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt

from mediaproxy.audio.g711 import ULAW_TO_PCM, ulaw_encode
from mediaproxy.net import Endpoint
from mediaproxy.rtp.events import DIGITS, TelephoneEvent, build_event
from mediaproxy.rtp.packet import build, payload_bounds

PCMU = 0
TELEPHONE_EVENT = 101
RATE_HZ = 8_000
PTIME_S = 0.02
SAMPLES = 160
DIGIT_PACKETS = 5  # 100 ms a digit
END_PACKETS = 3
VOLUME = 10  # -dBm0


class Stream(asyncio.DatagramProtocol):
    """Sends `voice` in a circle, 20 ms a packet; a digit takes the place of the voice while it lasts.

    `heard` is called with the PCM of every packet of speech that arrives.
    """

    def __init__(self, voice: npt.NDArray[np.int16], heard: Callable[[npt.NDArray[np.int16]], None]) -> None:
        self._voice = ulaw_encode(voice[: len(voice) // SAMPLES * SAMPLES]).tobytes()
        self._heard = heard
        self._ssrc = int.from_bytes(os.urandom(4), "big")
        self._seq = int.from_bytes(os.urandom(2), "big")
        self._begin = int.from_bytes(os.urandom(4), "big")
        self._packets = 0
        self._digits: list[TelephoneEvent] = []
        self._digit_began = 0
        self._transport: asyncio.DatagramTransport | None = None
        self._speaking: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        voice: npt.NDArray[np.int16],
        heard: Callable[[npt.NDArray[np.int16]], None] = lambda pcm: None,
    ) -> "Stream":
        """Bound to a free port of `host`; silent until `speak`."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_datagram_endpoint(lambda: cls(voice, heard), local_addr=(host, 0))
        return stream

    @property
    def endpoint(self) -> Endpoint:
        assert self._transport is not None
        return Endpoint(*self._transport.get_extra_info("sockname")[:2])

    def speak(self, to: Endpoint) -> None:
        """Begin, or go on, to send there."""
        if self._speaking is None:
            self._speaking = asyncio.get_running_loop().create_task(self._speak(to))

    def say(self, ulaw: bytes) -> None:
        """Other speech from here on: whole packets of µ-law, in a circle."""
        self._voice = ulaw

    @property
    def dialling(self) -> bool:
        """Whether digits are still to be sent."""
        return bool(self._digits)

    def dial(self, digits: str) -> None:
        """Send digits as telephone-events, each followed by as long a pause (RFC 4733)."""
        for digit in digits:
            code = DIGITS.index(digit)
            for packet in range(1, DIGIT_PACKETS + END_PACKETS):
                steps = min(packet, DIGIT_PACKETS)
                ended = packet >= DIGIT_PACKETS
                self._digits.append(TelephoneEvent(code, ended, VOLUME, steps * SAMPLES))

    async def close(self) -> None:
        """Stop speaking and give the port back."""
        if self._speaking is not None:
            self._speaking.cancel()
            await asyncio.gather(self._speaking, return_exceptions=True)
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)  # uvloop's is of no common class

    def datagram_received(self, data: bytes, address: object) -> None:
        bounds = payload_bounds(data, len(data))
        if bounds is not None and data[1] & 0x7F == PCMU:
            self._heard(ULAW_TO_PCM[np.frombuffer(data[slice(*bounds)], dtype=np.uint8)])

    async def _speak(self, to: Endpoint) -> None:
        """By absolute deadlines: a late packet delays none of the later ones."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            self._send(to)
            self._packets += 1
            await asyncio.sleep(max(0.0, began + self._packets * PTIME_S - loop.time()))

    def _send(self, to: Endpoint) -> None:
        assert self._transport is not None
        at = self._begin + self._packets * SAMPLES
        if self._digits:
            event = self._digits.pop(0)
            first = event.duration == SAMPLES and not event.end
            self._digit_began = at if first else self._digit_began
            packet = build(
                TELEPHONE_EVENT, first, self._seq, self._digit_began, self._ssrc, build_event(event)
            )
        else:
            start = self._packets * SAMPLES % len(self._voice)
            packet = build(
                PCMU, self._packets == 0, self._seq, at, self._ssrc, self._voice[start : start + SAMPLES]
            )
        self._seq += 1
        self._transport.sendto(packet, to)
