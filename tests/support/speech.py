"""Speech to say and ways to judge what was heard: correlation for speech, Goertzel for tones."""

import math
import wave
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.rtp_oracle import RATE_HZ, Pcm

PCMU_FILE = Path("speech") / "pcmu.1.8k.raw"
MIN_RMS = 200.0  # quieter windows are pauses, in which nothing can be compared

Samples = NDArray[np.float64]


def speech_codes(corpora: Path, start_s: float, seconds: float) -> bytes:
    """A stretch of the recorded µ-law speech."""
    raw = (corpora / PCMU_FILE).read_bytes()
    return raw[int(start_s * RATE_HZ) : int((start_s + seconds) * RATE_HZ)]


def write_mono(path: Path, pcm: Pcm) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(pcm.astype("<i2").tobytes())
    return path


def read_mono(path: Path) -> Pcm:
    """A mono file, also one whose writer died before it wrote the sizes."""
    raw = path.read_bytes()
    at = raw.index(b"data") + 8
    return np.frombuffer(raw[at : at + (len(raw) - at) // 2 * 2], "<i2")


def tone(hz: float, seconds: float, peak: int = 8000) -> Pcm:
    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return np.asarray(peak * np.sin(2 * math.pi * hz * at), np.int16)


def share_at(pcm: Pcm, hz: float) -> float:
    """Goertzel's measure: the part of the energy that lies at one frequency, 0 to 1."""
    samples = pcm.astype(np.float64)
    turn = np.exp(-2j * math.pi * hz / RATE_HZ * np.arange(len(samples)))
    energy = float(samples @ samples)
    return 2 * abs(complex(samples @ turn)) ** 2 / (len(samples) * energy) if energy else 0.0


def delay_of(heard: Samples, said: Samples) -> int:
    """The shift of `heard` against `said`, in samples, with the highest correlation."""
    size = 1 << (len(heard) + len(said) - 1).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size))
    best = int(np.argmax(np.fft.irfft(product, size)))
    return best if best < size // 2 else best - size


def window_likeness(heard: Pcm, said: Pcm, window_s: float = 0.5) -> list[float]:
    """Per window of `heard` that is no pause, its best normalised correlation with what was said.

    Each window is aligned on its own, so a receiver's jitter buffer that slips is no difference;
    a window that was never said, or another's voice, is.
    """
    window = int(window_s * RATE_HZ)
    return [
        _likeness(part, said)
        for at in range(0, len(heard) - window + 1, window)
        if np.sqrt(np.mean((part := heard[at : at + window].astype(np.float64)) ** 2)) > MIN_RMS
    ]


def _likeness(part: Samples, said: Pcm) -> float:
    whole = said.astype(np.float64)
    size = 1 << (len(whole) + len(part) - 1).bit_length()
    product = np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size))
    dots = np.fft.irfft(product, size)[: len(whole) - len(part) + 1]
    scale = np.sqrt(np.maximum(_energies(whole, len(part)), 1.0) * float(part @ part))
    return float(np.max(dots / scale))


def _energies(whole: Samples, window: int) -> Samples:
    total = np.concatenate(([0.0], np.cumsum(whole**2)))
    return np.asarray(total[window:] - total[:-window])
