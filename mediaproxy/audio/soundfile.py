"""Sound files of the operator's: any WAV, whatever its rate, width, coding and channels."""

from io import BytesIO
from typing import Final

import av
import numpy as np
from av.audio.frame import AudioFrame

from mediaproxy.audio.g711 import Pcm
from mediaproxy.audio.resample import resample
from mediaproxy.audio.sound import RATES_HZ, TICK_HZ, Sound

MAX_BYTES: Final = 64 << 20
MAX_SECONDS: Final = 60
SOURCE_RATES_HZ: Final = range(4_000, 192_001)
_BEST_HZ: Final = max(RATES_HZ)


class BadSound(ValueError):
    """What is wrong with a sound file, in words for whoever wrote the configuration."""


def read_sound(name: str, content: bytes) -> Sound:
    """The file as a sound at every rate that we need. Raises BadSound."""
    pcm, rate_hz = read_wav(content)
    by_rate = {rate: resample(pcm, rate_hz, rate) for rate in RATES_HZ}
    ticks = -(-len(by_rate[_BEST_HZ]) * TICK_HZ // _BEST_HZ)
    return Sound(name, {rate: _exactly(sound, ticks * rate // TICK_HZ) for rate, sound in by_rate.items()})


def read_wav(content: bytes) -> tuple[Pcm, int]:
    """Mono, at the file's own rate. Raises BadSound: no WAV, too long, or nothing to be heard."""
    if len(content) > MAX_BYTES:
        raise BadSound(f"larger than {MAX_BYTES >> 20} MB")
    try:
        pcm, rate_hz = _decoded(content)
    except (
        av.FFmpegError,
        ValueError,
        IndexError,
        AttributeError,
    ) as error:  # the last: a codec unknown to PyAV
        if isinstance(error, BadSound):
            raise
        raise BadSound("no WAV file that can be decoded") from None
    if len(pcm) > MAX_SECONDS * rate_hz:
        raise BadSound(f"longer than {MAX_SECONDS} s")
    if not np.any(pcm):
        raise BadSound("nothing is to be heard in it")
    return pcm, rate_hz


def _decoded(content: bytes) -> tuple[Pcm, int]:
    with av.open(BytesIO(content), mode="r", format="wav") as container:
        stream = container.streams.audio[0]
        if stream.rate not in SOURCE_RATES_HZ:
            raise BadSound(
                f"its rate is {stream.rate} Hz, not one of {SOURCE_RATES_HZ[0]} to {SOURCE_RATES_HZ[-1]}"
            )
        mono = av.AudioResampler(format="s16", layout="mono", rate=stream.rate)
        parts: list[Pcm] = []
        samples = 0
        for frame in container.decode(stream):
            parts += [_samples(one) for one in mono.resample(frame)]
            samples += frame.samples
            if samples > MAX_SECONDS * stream.rate:
                raise BadSound(f"longer than {MAX_SECONDS} s")
        parts += [_samples(one) for one in mono.resample(None)]
        return np.concatenate([np.zeros(0, np.int16), *parts]), stream.rate


def _samples(frame: AudioFrame) -> Pcm:
    pcm: Pcm = frame.to_ndarray().reshape(-1).astype(np.int16)
    return pcm


def _exactly(pcm: Pcm, samples: int) -> Pcm:
    sound = np.zeros(samples, np.int16)
    sound[: len(pcm)] = pcm[:samples]
    sound.flags.writeable = False
    return sound
