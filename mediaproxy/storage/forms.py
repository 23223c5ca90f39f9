"""How each form of a recording is written: WAV, FLAC and the mono mix are exact, Opus and MP3 are not."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from av import AudioFrame, AudioStream

from mediaproxy.recording import flac, wav
from mediaproxy.recording.manifest import CHANNELS
from mediaproxy.storage import disk, flacs, sparse
from mediaproxy.storage.jobs import Inscription
from mediaproxy.storage.masters import Pcm, filled

Advance = Callable[[int], None]  # is told how many sample frames are done


@dataclass(frozen=True, slots=True)
class Source:
    """A master and what is said of it. `sha256` is its own when a copy is made, None when a master is."""

    pcm: Pcm
    inscription: Inscription
    sha256: str | None

    @property
    def made_from(self) -> str:
        return f"master sha256 {self.sha256}" if self.sha256 else ""


@dataclass(frozen=True, slots=True)
class Coding:
    container: str
    encoder: str
    bits_per_s: int
    options: Mapping[str, str]


# Chosen so that nothing of one channel is heard in the other, and silence is decoded as zeros: no joint
# stereo, and of Opus the coder that keeps channels apart at this rate.
OPUS: Final = Coding("ogg", "libopus", 48_000, {"application": "audio"})
MP3: Final = Coding("mp3", "libmp3lame", 64_000, {"joint_stereo": "0"})


def write_wav(fd: int, _draft: Path, source: Source, advance: Advance) -> None:
    """Silence becomes holes."""
    _write_pcm(fd, source, advance, CHANNELS, bytes)


def write_mono(fd: int, _draft: Path, source: Source, advance: Advance) -> None:
    """Both channels together, each as loud as it was; what is too loud for 16 bits is cut."""
    _write_pcm(fd, source, advance, 1, _mixed)


def write_flac(fd: int, _draft: Path, source: Source, advance: Advance) -> None:
    """Raises `flacs.NotExact` unless it can be read back, every sample the same."""
    shape, told = source.pcm.shape, source.inscription
    comments = flac.comments(told.identity, told.intervals, shape.frames, master=source.sha256)
    flacs.check(fd, flacs.write(fd, filled(source.pcm), shape, comments, advance))


def write_lossy(draft: Path, source: Source, advance: Advance, coding: Coding) -> None:
    """Bit for bit the same for the same master, as long as FFmpeg is the same."""
    rate = source.pcm.shape.sample_rate
    with av.open(str(draft), "w", format=coding.container, options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = source.made_from
        stream = container.add_stream(
            coding.encoder, rate=rate, layout="stereo", options=dict(coding.options)
        )
        assert isinstance(stream, AudioStream)
        stream.bit_rate = coding.bits_per_s
        for frame in _frames(source.pcm):
            container.mux(stream.encode(frame))
            advance((frame.pts or 0) + frame.samples)
        container.mux(stream.encode(None))


Writer = Callable[[int, Path, Source, Advance], None]

WRITERS: Final[Mapping[str, Writer]] = {
    "wav": write_wav,
    "mono": write_mono,
    "flac": write_flac,
    "opus": lambda _fd, draft, source, advance: write_lossy(draft, source, advance, OPUS),
    "mp3": lambda _fd, draft, source, advance: write_lossy(draft, source, advance, MP3),
}


def _write_pcm(
    fd: int, source: Source, advance: Advance, channels: int, turn: Callable[[bytes], bytes]
) -> None:
    frames, told = source.pcm.shape.frames, source.inscription
    frame_bytes = 2 * channels
    for at, samples in source.pcm.chunks(0, frames):
        if not sparse.is_zero(samples):
            disk.write_at(fd, [turn(samples)], wav.HEADER_BYTES + at * frame_bytes)
        advance(at)
    end = wav.HEADER_BYTES + frames * frame_bytes
    tail = wav.tail(told.intervals)
    constant = wav.constant_part(told.identity, channels=channels, made_from=source.made_from)
    os.ftruncate(fd, end)
    disk.write_at(fd, [tail], end)
    disk.write_at(fd, [wav.header(constant, frames, len(tail), channels=channels)], 0)
    advance(frames)


def _mixed(samples: bytes) -> bytes:
    both = np.frombuffer(samples, "<i2").reshape(-1, CHANNELS).sum(axis=1, dtype=np.int32)
    return bytes(both.clip(-32_768, 32_767).astype("<i2"))


def _frames(pcm: Pcm) -> Iterator[AudioFrame]:
    at, rate = 0, pcm.shape.sample_rate
    for samples in filled(pcm):
        frame = AudioFrame.from_ndarray(
            np.frombuffer(samples, np.int16).reshape(1, -1), format="s16", layout="stereo"
        )
        frame.sample_rate, frame.time_base, frame.pts = rate, Fraction(1, rate), at
        at += frame.samples
        yield frame
