"""The codecs that we know: how long a payload lasts, and the ways to sound and back.

Everything a peer can send is decoded to something: what is bad becomes silence of its length and is
counted. RTP clocks and the rates of the sound are apart: G.722 counts 8000 and sounds at 16000.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from mediaproxy.audio import g722, opus
from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, Codes, Pcm, alaw_encode, ulaw_encode
from mediaproxy.audio.linear import L16Decoder, L16Encoder, TableDecoder, TableEncoder

RATES_HZ: Final = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
MAX_CHANNELS: Final = 2


class Decoder(Protocol):
    """From payloads, in the order of the stream, to mono at `rate_hz`. Never raises: a bad payload is
    silence of its length, and one more of `faults`."""

    rate_hz: int
    faults: int

    def reset(self) -> None:
        """Forget what was heard: the next payload is the first one."""

    def decode(self, payload: bytes) -> Pcm: ...


class Encoder(Protocol):
    """From mono at `rate_hz` to one packet's payload; its timestamps count `clock_hz`.

    Deterministic: after a `reset` the same sound gives the same bytes.
    """

    rate_hz: int
    clock_hz: int

    def reset(self) -> None: ...

    def encode(self, pcm: Pcm) -> bytes:
        """Raises ValueError when the codec has no packet of this length."""


@dataclass(frozen=True, slots=True)
class Coding:
    """A codec as negotiated. `rate_hz` is the rate of its sound at its best."""

    name: str
    clock_hz: int
    channels: int
    rate_hz: int

    def ticks(self, payload: bytes | bytearray | memoryview | None, length: int) -> int | None:
        """How long a payload of `length` bytes lasts, in RTP ticks. 0: it holds nothing that can be
        decoded. None: without the payload nobody knows (Opus)."""
        if self.name == "OPUS":
            return None if payload is None else opus.ticks(payload)
        if self.name == "G722":
            return length * self.clock_hz // g722.CLOCK_HZ
        return length // (self.channels * (2 if self.name == "L16" else 1))

    def packs(self, ticks: int) -> bool:
        """Whether `encoder` has a packet that lasts so many RTP ticks."""
        if self.name == "OPUS":
            return ticks * 1_000 in {ms * opus.CLOCK_HZ for ms in opus.PACKETS_MS}
        block = g722.BLOCK_SAMPLES * self.clock_hz // g722.RATE_HZ if self.name == "G722" else 1
        return ticks > 0 and ticks % block == 0

    def decoder(self, rate_hz: int) -> Decoder:
        """One for a stream. Its own `rate_hz` is the one asked for where the codec can give it."""
        if self.name == "OPUS":
            return opus.OpusDecoder(rate_hz if rate_hz in opus.RATES_HZ else opus.CLOCK_HZ)
        if self.name == "G722":
            return g722.G722Decoder()
        if self.name == "L16":
            return L16Decoder(self.rate_hz, self.channels)
        return TableDecoder(_LAWS[self.name][0], self.rate_hz, self.channels)

    def encoder(self) -> Encoder:
        """One for a stream. Stereo gets the same sound twice."""
        if self.name == "OPUS":
            return opus.OpusEncoder()
        if self.name == "G722":
            return g722.G722Encoder()
        if self.name == "L16":
            return L16Encoder(self.rate_hz, self.channels)
        return TableEncoder(_LAWS[self.name][1], self.rate_hz, self.channels)


_LAWS: Final[dict[str, tuple[Pcm, Callable[[Pcm], Codes]]]] = {
    "PCMU": (ULAW_TO_PCM, ulaw_encode),
    "PCMA": (ALAW_TO_PCM, alaw_encode),
}


def coding(name: str, clock_hz: int, channels: int = 1) -> Coding | None:
    """The codec of an rtpmap, its name in upper case; None: not one of ours."""
    if name == "OPUS":  # always written 48000/2, whatever is sent (RFC 7587 7)
        known = opus.AVAILABLE and clock_hz == opus.CLOCK_HZ
        return Coding(name, clock_hz, 2, opus.CLOCK_HZ) if known else None
    if name == "G722":  # some write the clock as the 16000 that it should have been
        known = clock_hz in (g722.CLOCK_HZ, g722.RATE_HZ) and channels == 1
        return Coding(name, clock_hz, channels, g722.RATE_HZ) if known else None
    known = (name in _LAWS or name == "L16") and clock_hz in RATES_HZ and 1 <= channels <= MAX_CHANNELS
    return Coding(name, clock_hz, channels, clock_hz) if known else None
