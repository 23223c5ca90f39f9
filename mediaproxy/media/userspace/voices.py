"""How a codec carries a sound of ours: mixed into what flows, or in its place.

Lengths are ticks of 1/8,000 s, as those of sounds are.
"""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from mediaproxy.audio.codecs import Coding, coding
from mediaproxy.audio.g711 import ALAW_TO_PCM, PCM_TO_ALAW, PCM_TO_ULAW, ULAW_TO_PCM, Codes, Pcm
from mediaproxy.audio.sound import RATES_HZ, TICK_HZ
from mediaproxy.calls.plane import Codec
from mediaproxy.limits import MAX_RTP_BYTES

Payload = bytes | bytearray | memoryview


class Voice(Protocol):
    """One codec in one direction of one call. `rate_hz` is that of the sound's samples that it takes."""

    rate_hz: int

    def ticks(self, payload: Payload) -> int:
        """How long a payload lasts; 0 when nothing can be put in its place."""

    def alone(self, stretch: Pcm) -> bytes:
        """A payload of nothing but the stretch."""

    def over(self, payload: Payload, stretch: Pcm) -> Payload:
        """A payload of the stretch and, if the codec mixes, of what was in `payload`; both equally long.
        Valid until the next one, or `forget`."""

    def forget(self) -> None:
        """Wipe what `over` left in memory of what a party said: the gate may be closed."""


class G711Voice:
    """A byte a sample, no state: the sound goes on top, and the payload keeps its size.

    What a party says is decoded, summed and encoded in arrays of ours alone: what numpy frees it does
    not wipe.
    """

    rate_hz = TICK_HZ

    def __init__(self, to_pcm: Pcm, from_pcm: Codes) -> None:
        self._to_pcm = to_pcm.astype(np.int32)
        self._from_pcm = from_pcm  # by a sample's unsigned spelling
        self._index: NDArray[np.intp] = np.zeros(MAX_RTP_BYTES, np.intp)
        self._sum: NDArray[np.int32] = np.zeros(MAX_RTP_BYTES, np.int32)
        self._codes: Codes = np.zeros(MAX_RTP_BYTES, np.uint8)

    def ticks(self, payload: Payload) -> int:
        return len(payload)

    def alone(self, stretch: Pcm) -> bytes:
        return self._from_pcm[np.ascontiguousarray(stretch).view(np.uint16)].tobytes()

    def over(self, payload: Payload, stretch: Pcm) -> Payload:
        size = len(payload)
        index, total, codes = self._index[:size], self._sum[:size], self._codes[:size]
        index[:] = np.frombuffer(payload, np.uint8)
        np.take(self._to_pcm, index, out=total, mode="clip")  # another mode takes a copy
        total += stretch.astype(np.int32)
        np.clip(total, -32_768, 32_767, out=total)
        np.bitwise_and(total, 0xFFFF, out=total)
        index[:] = total
        np.take(self._from_pcm, index, out=codes, mode="clip")
        return codes.data

    def forget(self) -> None:
        for array in (self._index, self._sum, self._codes):
            array.fill(0)


class CodedVoice:
    """Any other codec: to mix, its stream would have to be decoded and encoded from here on, so the
    sound takes the place of what flows."""

    def __init__(self, known: Coding) -> None:
        self._coding = known
        self._encoder = known.encoder()
        self.rate_hz = self._encoder.rate_hz

    def ticks(self, payload: Payload) -> int:
        ticks = self._coding.ticks(payload, len(payload)) or 0
        return ticks * TICK_HZ // self._coding.clock_hz if self._coding.packs(ticks) else 0

    def alone(self, stretch: Pcm) -> bytes:
        return self._encoder.encode(stretch)

    def over(self, payload: Payload, stretch: Pcm) -> Payload:
        return self._encoder.encode(stretch)

    def forget(self) -> None:
        """Of what was said nothing was looked at."""


_LAWS: Final = {"PCMU": (ULAW_TO_PCM, PCM_TO_ULAW), "PCMA": (ALAW_TO_PCM, PCM_TO_ALAW)}


def mixes(codec: Codec) -> bool:
    """Whether a sound of ours leaves what flows to be heard."""
    return codec.name in _LAWS and codec.clock_hz == TICK_HZ and codec.channels == 1


def can_speak(codec: Codec) -> bool:
    """Whether this codec can carry a sound of ours."""
    return mixes(codec) or _coding(codec) is not None


def voice_of(codec: Codec) -> Voice:
    """A voice that begins anew, for a codec that `can_speak`."""
    known = _coding(codec)
    if mixes(codec) or known is None:
        return G711Voice(*_LAWS[codec.name])
    return CodedVoice(known)


def _coding(codec: Codec) -> Coding | None:
    """Codecs whose sound is at a rate that our sounds have."""
    known = coding(codec.name, codec.clock_hz, codec.channels)
    return known if known is not None and known.rate_hz in RATES_HZ else None
