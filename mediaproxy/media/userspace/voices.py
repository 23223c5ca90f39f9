"""How a codec carries a sound of ours: mixed into what flows, or in its place.

Lengths are ticks of 1/8,000 s, as those of sounds are.
"""

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, Codes, Pcm, alaw_encode, ulaw_encode
from mediaproxy.audio.sound import RATES_HZ, TICK_HZ
from mediaproxy.calls.plane import Codec

_WHOLE: Final = frozenset({80, 160, 320, 480})  # lengths for which every codec has a packet


class Voice(Protocol):
    """One codec in one direction of one call. `rate_hz` is that of the sound's samples that it takes."""

    rate_hz: int

    def ticks(self, payload: bytes) -> int:
        """How long a payload lasts; 0 when nothing can be put in its place."""

    def alone(self, stretch: Pcm) -> bytes:
        """A payload of nothing but the stretch."""

    def over(self, payload: bytes, stretch: Pcm) -> bytes:
        """A payload of the stretch and, if the codec mixes, of what was in `payload`; both equally long."""


class G711Voice:
    """A byte a sample, no state: the sound goes on top, and the payload keeps its size."""

    rate_hz = TICK_HZ

    def __init__(self, table: Pcm, encode: Callable[[Pcm], Codes]) -> None:
        self._table = table
        self._encode = encode

    def ticks(self, payload: bytes) -> int:
        return len(payload)

    def alone(self, stretch: Pcm) -> bytes:
        return self._encode(np.ascontiguousarray(stretch)).tobytes()

    def over(self, payload: bytes, stretch: Pcm) -> bytes:
        mixed = self._table[np.frombuffer(payload, np.uint8)].astype(np.int32) + stretch
        return self._encode(np.clip(mixed, -32_768, 32_767).astype(np.int16)).tobytes()


class CodedVoice:
    """Any other codec: to mix, its stream would have to be decoded and encoded from here on, so the
    sound takes the place of what flows."""

    def __init__(self, known: Coding) -> None:
        self._coding = known
        self._encoder = known.encoder()
        self.rate_hz = self._encoder.rate_hz

    def ticks(self, payload: bytes) -> int:
        ticks = (self._coding.ticks(payload, len(payload)) or 0) * TICK_HZ // self._coding.clock_hz
        return ticks if ticks in _WHOLE else 0

    def alone(self, stretch: Pcm) -> bytes:
        return self._encoder.encode(stretch)

    def over(self, payload: bytes, stretch: Pcm) -> bytes:
        return self._encoder.encode(stretch)


_G711: Final[dict[str, Voice]] = {
    "PCMU": G711Voice(ULAW_TO_PCM, ulaw_encode),
    "PCMA": G711Voice(ALAW_TO_PCM, alaw_encode),
}


def mixes(codec: Codec) -> bool:
    """Whether a sound of ours leaves what flows to be heard."""
    return codec.name in _G711 and codec.clock_hz == TICK_HZ and codec.channels == 1


def can_speak(codec: Codec) -> bool:
    """Whether this codec can carry a sound of ours."""
    return mixes(codec) or _coding(codec) is not None


def voice_of(codec: Codec) -> Voice:
    """A voice that begins anew, for a codec that `can_speak`."""
    known = _coding(codec)
    if mixes(codec) or known is None:
        return _G711[codec.name]
    return CodedVoice(known)


def _coding(codec: Codec) -> Coding | None:
    """Codecs whose sound is at a rate that our sounds have."""
    known = coding(codec.name, codec.clock_hz, codec.channels)
    return known if known is not None and known.rate_hz in RATES_HZ else None
