"""Short melodies: the confirmations an agent hears."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from mediaproxy.audio.g711 import Pcm

_FADE_S: Final = 0.005  # each note fades in and out: a hard edge clicks


class Note(NamedTuple):
    """A sine of `pitch_hz` (0 = a rest) for `length_s`."""

    pitch_hz: float
    length_s: float


def melody(notes: Sequence[Note], rate_hz: int = 8000, *, amplitude: int = 4000) -> Pcm:
    """The notes one after the other; `amplitude` is the peak in 16-bit steps."""
    return np.concatenate([_sound(note, rate_hz, amplitude) for note in notes])


def _sound(note: Note, rate_hz: int, amplitude: int) -> Pcm:
    samples = round(note.length_s * rate_hz)
    fade = max(1, min(samples // 2, round(_FADE_S * rate_hz)))
    envelope = np.ones(samples)
    envelope[:fade] = np.linspace(0.0, 1.0, fade)
    envelope[-fade:] = envelope[:fade][::-1]
    wave = np.sin(2 * np.pi * note.pitch_hz * np.arange(samples) / rate_hz)
    return (amplitude * envelope * wave).astype(np.int16)
