"""The samples of a master, whatever its format: WAV (or RF64), where holes cost nothing, or FLAC."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import av
from av.audio.frame import AudioFrame

from mediaproxy.errors import Malformed
from mediaproxy.recording import flac, wav
from mediaproxy.recording.manifest import CHANNELS
from mediaproxy.storage import disk, sparse

BATCH_FRAMES: Final = 65_536
DAMAGED: Final = "the FLAC stream is damaged"
SHORT: Final = "the file is shorter than its header promises"
LONG: Final = "the file is longer than its header promises"

_SILENCE: Final = bytes(BATCH_FRAMES * wav.FRAME_BYTES)
_CAREFUL: Final = {"err_detect": "crccheck+explode"}


class Pcm(Protocol):
    """An open master. Its fd's position is nobody's: read it by `pread`."""

    shape: wav.Shape
    fd: int

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        """Whole sample frames of `[start, end)` in order, interleaved 16-bit little-endian, each with the
        position of its first; what is left out is zero. `Malformed` when they cannot be decoded."""
        ...


@contextmanager
def open_master(path: Path) -> Iterator[Pcm]:
    """`Malformed` unless it is a master of ours, by its first bytes; `OSError` when it cannot be read."""
    fd = disk.open_to_read(path)
    try:
        yield opened(fd)
    finally:
        os.close(fd)


def opened(fd: int) -> Pcm:
    """The same of an open file, which stays the caller's."""
    head = os.pread(fd, wav.HEADER_BYTES, 0)
    if head.startswith(flac.MAGIC):
        return FlacPcm(fd, flac.parse(head))
    return WavPcm(fd, wav.parse(head))


def filled(pcm: Pcm) -> Iterator[bytes]:
    """All samples from first to last, the zeros too, in pieces of at most `BATCH_FRAMES`."""
    at = 0
    for first, samples in pcm.chunks(0, pcm.shape.frames):
        yield from _silence(first - at)
        yield samples
        at = first + len(samples) // wav.FRAME_BYTES
    yield from _silence(pcm.shape.frames - at)


def _silence(frames: int) -> Iterator[bytes]:
    for _ in range(frames // BATCH_FRAMES):
        yield _SILENCE
    if rest := frames % BATCH_FRAMES:
        yield _SILENCE[: rest * wav.FRAME_BYTES]


class WavPcm:
    def __init__(self, fd: int, shape: wav.Shape) -> None:
        self.fd, self.shape = fd, shape

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        for first, last in self._extents(start, end):
            for at in range(first, last, BATCH_FRAMES):
                count = min(BATCH_FRAMES, last - at)
                samples = os.pread(self.fd, count * wav.FRAME_BYTES, wav.data_end(at))
                if len(samples) < count * wav.FRAME_BYTES:
                    raise Malformed(SHORT)
                yield at, samples

    def _extents(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Holes end on any byte, so two extents may share a frame: it comes with the first."""
        done = start
        for first, last in sparse.extents(self.fd, wav.data_end(start), wav.data_end(end)):
            begin = max(done, wav.held_frames(first))
            done = wav.held_frames(last + wav.FRAME_BYTES - 1)
            if begin < done:
                yield begin, done


class FlacPcm:
    def __init__(self, fd: int, info: flac.StreamInfo) -> None:
        self.fd, self.info, self.shape = fd, info, flac.shape(info)

    def chunks(self, start: int, end: int) -> Iterator[tuple[int, bytes]]:
        with os.fdopen(os.dup(self.fd), "rb") as file:
            pieces = _as_promised(_decoded(file, start), start, end, self.shape.frames)
            yield from _batched(_cut(pieces, start, end))


def _decoded(file: BinaryIO, start: int) -> Iterator[tuple[int, bytes]]:
    file.seek(0)
    try:
        with av.open(file, "r", format="flac", options=_CAREFUL) as container:
            stream = container.streams.audio[0]
            stream.codec_context.options = _CAREFUL
            if start:
                container.seek(start, stream=stream)
            for frame in container.decode(stream):
                yield _position(frame), _samples(frame)
    except (av.error.InvalidDataError, av.error.EOFError, IndexError) as error:
        raise Malformed(DAMAGED) from error


def _position(frame: AudioFrame) -> int:
    if frame.pts is None:  # FLAC numbers its frames
        raise Malformed(DAMAGED)
    return frame.pts


def _samples(frame: AudioFrame) -> bytes:
    if frame.format.name != "s16" or frame.layout.nb_channels != CHANNELS:
        raise Malformed(DAMAGED)
    return bytes(frame.planes[0])[: frame.samples * wav.FRAME_BYTES]


def _as_promised(
    pieces: Iterator[tuple[int, bytes]], start: int, end: int, frames: int
) -> Iterator[tuple[int, bytes]]:
    """A FLAC stream leaves nothing out: what is missing in it was taken away."""
    done = None
    for at, samples in pieces:
        if at > start if done is None else at != done:
            raise Malformed(DAMAGED)
        done = at + len(samples) // wav.FRAME_BYTES
        if done > frames:
            raise Malformed(LONG)
        yield at, samples
    if (done or 0) < min(end, frames):
        raise Malformed(SHORT)


def _cut(pieces: Iterator[tuple[int, bytes]], start: int, end: int) -> Iterator[tuple[int, bytes]]:
    for at, samples in pieces:
        if at >= end:
            return
        skipped = max(start - at, 0)
        part = samples[skipped * wav.FRAME_BYTES : (end - at) * wav.FRAME_BYTES]
        if part:
            yield at + skipped, part


def _batched(pieces: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Few large pieces for many small ones that adjoin."""
    first = end = 0
    waiting: list[bytes] = []
    for at, samples in pieces:
        if waiting and (at != end or end - first >= BATCH_FRAMES):
            yield first, b"".join(waiting)
            waiting = []
        if not waiting:
            first = at
        waiting.append(samples)
        end = at + len(samples) // wav.FRAME_BYTES
    if waiting:
        yield first, b"".join(waiting)
