"""The audio thread: writes pieces into live files and keeps their headers true.

A disk error costs the audio it hit, which becomes silence; the file keeps its length where the disk
allows it. A file stays open from its first flush to its last.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from mediaproxy.ids import RecordingId
from mediaproxy.recording import wav
from mediaproxy.recording.journal import Header
from mediaproxy.storage import disk
from mediaproxy.storage.live import Piece
from mediaproxy.storage.store import Storage


@dataclass(frozen=True, slots=True)
class Flush:
    """Write the pieces, extend file and header to `frames` if they fall short; with `last`, close it."""

    header: Header
    pieces: Sequence[Piece]
    frames: int
    last: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    recording: RecordingId
    reason: str
    lost_samples: int


@dataclass(frozen=True, slots=True)
class Flushed:
    """One submitted list is done: bytes that no longer wait, what went wrong, which files are closed."""

    audio_bytes: int
    faults: tuple[Fault, ...]
    closed: tuple[RecordingId, ...]


class AudioWriter:
    """Owned by its thread: `perform` is the only entrance."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Flushed], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._storage = storage
        self._report = report
        self._on_crash = on_crash
        self._files: dict[RecordingId, _LiveFile] = {}

    def perform(self, batch: list[list[Flush]]) -> None:
        for flushes in batch:
            faults = tuple(fault for flush in flushes if (fault := self._flush(flush)))
            closed = tuple(flush.header.recording_id for flush in flushes if flush.last)
            audio_bytes = sum(len(piece.frames) for flush in flushes for piece in flush.pieces)
            self._report(Flushed(audio_bytes, faults, closed))

    def close(self) -> None:
        """After the thread has ended."""
        while self._files:
            self._files.popitem()[1].close()

    def _flush(self, flush: Flush) -> Fault | None:
        recording = flush.header.recording_id
        fault: Fault | None = None
        try:
            file = self._files.get(recording) or self._open(flush)
            lost, error = file.write(flush.pieces)
            if error is not None:
                fault = Fault(recording, disk.reason_of(error), lost)
            file.extend(flush.frames)
        except OSError as error:
            fault = fault or Fault(recording, disk.reason_of(error), _samples(flush))
        except Exception as error:  # noqa: BLE001 - a bug that one recording meets is that one's alone
            self._on_crash(error)
            fault = Fault(recording, disk.STORAGE_ERROR, _samples(flush))
        finally:
            if flush.last and (ended := self._files.pop(recording, None)):
                ended.close()
        return fault

    def _open(self, flush: Flush) -> "_LiveFile":
        file = _LiveFile(
            disk.open_existing(self._storage.live_audio(flush.header.recording_id)), flush.header
        )
        self._files[flush.header.recording_id] = file
        return file


class _LiveFile:
    def __init__(self, fd: int, header: Header) -> None:
        self._fd = fd
        self._constant = wav.constant_part(identity(header))
        self._size = wav.HEADER_BYTES
        self._promised = 0

    def write(self, pieces: Sequence[Piece]) -> tuple[int, OSError | None]:
        """Sample frames that could not be written, and why."""
        lost, failure = 0, None
        for first, end, block in _runs(pieces):
            try:
                disk.write_at(self._fd, block, wav.data_end(first))
                self._size = max(self._size, wav.data_end(end))
            except OSError as error:
                lost, failure = lost + end - first, error
        return lost, failure

    def extend(self, frames: int) -> None:
        """The file first, the header second."""
        if frames <= self._promised:
            return
        end = wav.data_end(frames)
        if end > self._size:
            os.ftruncate(self._fd, end)
            self._size = end
        disk.write_at(self._fd, [wav.header(self._constant, frames)], 0)
        self._promised = frames

    def close(self) -> None:
        os.close(self._fd)


def _samples(flush: Flush) -> int:
    return sum(piece.end - piece.first for piece in flush.pieces)


def identity(header: Header) -> wav.Identity:
    return wav.Identity(header.recording_id, header.call_id, header.answered_at_ms, header.sample_rate)


def _runs(pieces: Sequence[Piece]) -> Iterator[tuple[int, int, list[bytes | memoryview]]]:
    """Adjoining pieces go out in one write."""
    block: list[bytes | memoryview] = []
    first = end = 0
    for piece in pieces:
        if block and piece.first != end:
            yield first, end, block
            block = []
        if not block:
            first = piece.first
        block.append(piece.frames)
        end = piece.end
    if block:
        yield first, end, block
