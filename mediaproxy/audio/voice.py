"""A synthetic voice: no words, but the rhythm, melody and formants of speech.

Source and filter (G. Fant, Acoustic Theory of Speech Production, 1960): glottal pulses whose pitch
falls over a phrase, or noise for a consonant, through four resonances that glide from vowel to vowel.
Each resonance is a two-pole filter whose coefficients are held for 5 ms.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from mediaproxy.audio.g711 import Pcm

Samples = npt.NDArray[np.float64]

_PEAK: Final = 12_000
_BANDWIDTHS_HZ: Final = (70.0, 100.0, 140.0, 220.0)
_HOLD_S: Final = 0.005
# First three formants in Hz of a grown man (Peterson and Barney, 1952) and how often each is spoken.
_VOWELS: Final = np.array(
    [
        (730, 1090, 2440),
        (530, 1840, 2480),
        (270, 2290, 3010),
        (570, 840, 2410),
        (300, 870, 2240),
        (660, 1720, 2410),
        (490, 1350, 1690),
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """`tract` scales the formants: a shorter vocal tract sounds higher without a higher pitch."""

    pitch_hz: float
    tract: float
    syllables_per_s: float
    breath: float  # noise in the voiced source, of 1


LOW: Final = Speaker(pitch_hz=105.0, tract=1.0, syllables_per_s=4.2, breath=0.02)
HIGH: Final = Speaker(pitch_hz=205.0, tract=1.17, syllables_per_s=4.8, breath=0.05)


def speak(speaker: Speaker, seconds: float, *, seed: int, rate_hz: int = 8000) -> Pcm:
    """`seconds` of speech-like sound; the same arguments give the same samples."""
    random = np.random.default_rng(seed)
    wanted = round(seconds * rate_hz)
    parts: list[Samples] = []
    spoken = 0
    while spoken < wanted:
        phrase = _phrase(speaker, random, rate_hz)
        pause = np.zeros(round(random.uniform(0.25, 0.7) * rate_hz))
        parts += [phrase, pause]
        spoken += len(phrase) + len(pause)
    return np.concatenate(parts)[:wanted].astype(np.int16)


def _phrase(speaker: Speaker, random: np.random.Generator, rate_hz: int) -> Samples:
    """Five to twelve syllables in one breath, peak-normalised."""
    count = int(random.integers(5, 13))
    vowels = _VOWELS[random.integers(0, len(_VOWELS), count + 1)] * speaker.tract
    declination = np.linspace(1.15, 0.85, count)
    syllables = [
        _syllable(speaker, vowels[i], vowels[i + 1], float(declination[i]), random, rate_hz)
        for i in range(count)
    ]
    sound = np.concatenate(syllables)
    return sound * (_PEAK / max(float(np.abs(sound).max()), 1e-9))


def _syllable(
    speaker: Speaker,
    begin: Samples,
    end: Samples,
    declination: float,
    random: np.random.Generator,
    rate_hz: int,
) -> Samples:
    """Often a consonant, then a vowel that glides towards the next one."""
    length = round(random.uniform(0.75, 1.35) / speaker.syllables_per_s * rate_hz)
    consonant = _consonant(random, rate_hz) if random.random() < 0.7 else np.zeros(0)
    source = _glottis(speaker, length, declination * random.uniform(0.93, 1.1), random, rate_hz)
    voiced = _through_tract(source, begin, begin + 0.6 * (end - begin), rate_hz)
    voiced *= _envelope(length) * random.uniform(0.6, 1.0) / max(float(np.abs(voiced).max()), 1e-9)
    return np.concatenate([consonant, voiced])


def _consonant(random: np.random.Generator, rate_hz: int) -> Samples:
    """A burst of noise without its low half: the difference of neighbours is a high-pass."""
    length = round(random.uniform(0.03, 0.09) * rate_hz)
    noise = np.diff(random.standard_normal(length + 1))
    return noise * np.hanning(length) * random.uniform(0.03, 0.1)


def _glottis(
    speaker: Speaker, length: int, bend: float, random: np.random.Generator, rate_hz: int
) -> Samples:
    """Rosenberg's pulse (1971), its period a little uneven as in every larynx, and some breath."""
    vibrato = 1 + 0.02 * np.sin(2 * np.pi * 5.0 * np.arange(length) / rate_hz + random.uniform(0, 6.28))
    phase = np.cumsum(speaker.pitch_hz * bend * vibrato / rate_hz) % 1.0
    opening = 0.5 * (1 - np.cos(np.pi * phase / 0.4))
    closing = np.cos(np.pi * (phase - 0.4) / 0.32)
    pulse = np.where(phase < 0.4, opening, np.where(phase < 0.56, closing, 0.0))
    return np.diff(pulse, prepend=0.0) + speaker.breath * random.standard_normal(length)


def _envelope(length: int) -> Samples:
    rise, fall = max(1, length // 6), max(1, length // 3)
    envelope = np.ones(length)
    envelope[:rise] = np.sin(np.linspace(0, np.pi / 2, rise))
    envelope[-fall:] = np.cos(np.linspace(0, np.pi / 2, fall))
    return envelope


def _through_tract(source: Samples, begin: Samples, end: Samples, rate_hz: int) -> Samples:
    """The source through the resonances one after the other, as the vocal tract does."""
    formants = [*zip(begin, end, strict=True), (3500.0, 3500.0)]
    sound = source
    for (start_hz, stop_hz), bandwidth_hz in zip(formants, _BANDWIDTHS_HZ, strict=True):
        sound = _resonate(sound, float(start_hz), float(stop_hz), bandwidth_hz, rate_hz)
    return sound


def _resonate(source: Samples, start_hz: float, stop_hz: float, bandwidth_hz: float, rate_hz: int) -> Samples:
    """y[n] = g·x[n] + b·y[n-1] + c·y[n-2] (Klatt, 1980), unit gain at 0 Hz."""
    sound = np.empty_like(source)
    c = -float(np.exp(-2 * np.pi * bandwidth_hz / rate_hz))
    last = before = 0.0
    for at, until, hz in _steps(len(source), start_hz, stop_hz, rate_hz):
        b = 2 * float(np.sqrt(-c)) * float(np.cos(2 * np.pi * min(hz, 0.47 * rate_hz) / rate_hz))
        gain = 1 - b - c
        for n, x in enumerate(source[at:until].tolist(), at):
            last, before = gain * x + b * last + c * before, last
            sound[n] = last
    return sound


def _steps(length: int, start_hz: float, stop_hz: float, rate_hz: int) -> Iterator[tuple[int, int, float]]:
    """Spans of `_HOLD_S` with the resonance's frequency in each."""
    hold = max(1, round(_HOLD_S * rate_hz))
    for at in range(0, length, hold):
        yield at, min(at + hold, length), start_hz + (stop_hz - start_hz) * at / length
