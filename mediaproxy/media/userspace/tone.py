"""A confirmation tone on its way to one leg.

While the other leg's audio flows, the tone is mixed into it: header, timing and size of the packets
stay as they came, no telephone sees a second stream or a jump, and nobody's speech is lost. While
nothing flows, packets of ours go between the last one and the next.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, Codes, Pcm, alaw_encode, ulaw_encode
from mediaproxy.audio.tones import Note, melody
from mediaproxy.calls import plane
from mediaproxy.clock import NS_PER_MS

RATE_HZ: Final = 8000
PACKET_SAMPLES: Final = 160
PACKET_NS: Final = 20 * NS_PER_MS
SILENT_NS: Final = 60 * NS_PER_MS  # without audio for so long, the tone goes alone

_MELODIES: Final = {
    plane.Tone.STARTED: melody([Note(660, 0.08), Note(880, 0.12)], RATE_HZ),
    plane.Tone.STOPPED: melody([Note(880, 0.08), Note(660, 0.12)], RATE_HZ),
    plane.Tone.REFUSED: melody([Note(330, 0.09), Note(0, 0.06), Note(330, 0.09)], RATE_HZ),
}
_LAWS: Final[dict[str, tuple[Pcm, Callable[[Pcm], Codes]]]] = {
    "PCMU": (ULAW_TO_PCM, ulaw_encode),
    "PCMA": (ALAW_TO_PCM, alaw_encode),
}


def can_sound(codec: plane.Codec | None) -> bool:
    """Whether a tone can be put into this codec: G.711, one channel."""
    return codec is not None and codec.name in _LAWS and codec.clock_hz == RATE_HZ and codec.channels == 1


class Tone:
    """What is left of a melody, and when its next packet is due if nothing comes to be mixed into."""

    __slots__ = ("_rest", "due_ns")

    def __init__(self, tone: plane.Tone, due_ns: int) -> None:
        self._rest = _MELODIES[tone]
        self.due_ns = due_ns

    @property
    def over(self) -> bool:
        return not len(self._rest)

    def mix(self, codec: plane.Codec, payload: bytes) -> bytes:
        """The payload of a packet of the other leg with the next stretch of the melody on top."""
        table, encode = _LAWS[codec.name]
        sound = table[np.frombuffer(payload, np.uint8)].astype(np.int32)
        stretch = self._take(len(sound))
        sound[: len(stretch)] += stretch
        return encode(np.clip(sound, -32_768, 32_767).astype(np.int16)).tobytes()

    def alone(self, codec: plane.Codec) -> bytes:
        """A payload of 20 ms of the melody."""
        sound = np.zeros(PACKET_SAMPLES, np.int16)
        stretch = self._take(PACKET_SAMPLES)
        sound[: len(stretch)] = stretch
        return _LAWS[codec.name][1](sound).tobytes()

    def _take(self, samples: int) -> Pcm:
        stretch, self._rest = self._rest[:samples], self._rest[samples:]
        return stretch
