"""The audio thread: one writer for thousands of live files.

What the disk refuses waits here, in order, and is tried again: a file that could not be written stands
still, and goes on in place when it can. So a failing disk costs memory first (bounded by the spool's
backlog, which counts what waits here too), and audio only when that is used up.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from mediaproxy.ids import RecordingId
from mediaproxy.recording import wav
from mediaproxy.recording.journal import Header
from mediaproxy.storage import disk
from mediaproxy.storage.live import Piece
from mediaproxy.storage.store import Storage

RETRY_S = 0.25
TOLD_BYTES = 4 << 20  # after so much the loop is told, so that the backlog has room again


@dataclass(slots=True)
class Flush:
    """Write the pieces, extend file and header to `frames` if they fall short; with `last`, close it."""

    header: Header
    pieces: Sequence[Piece]
    frames: int
    last: bool = False
    lines: int = 0  # of its journal, durable by now


@dataclass(slots=True)
class Flushed:
    """What came of it: bytes that no longer wait, whose files stand still for which reason and whose go on
    again (None), who lost how many bytes for good, which files are closed."""

    audio_bytes: int = 0
    troubles: dict[RecordingId, str | None] = field(default_factory=dict)
    lost_bytes: dict[RecordingId, int] = field(default_factory=dict)
    closed: list[RecordingId] = field(default_factory=list)


class AudioWriter:
    """Owned by its thread: `perform` is the only entrance. `busy_since` is when it last turned to the
    disk, as a time of the monotonic clock, and 0 while it does not: anybody may read it."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Flushed], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self.busy_since = 0.0
        self._storage = storage
        self._report = report
        self._on_crash = on_crash
        self._files: dict[RecordingId, _LiveFile] = {}
        self._stuck: dict[RecordingId, str] = {}
        self._retry_at = 0.0
        self._flushed = Flushed()

    def perform(self, batch: list[list[Flush]]) -> None:
        """All that waits for a file goes out together. An empty batch tries again what failed."""
        touched = [self._accept(flush) for flushes in batch for flush in flushes]
        work = dict.fromkeys(touched)
        now = time.monotonic()
        if self._stuck and (not batch or now >= self._retry_at):
            self._retry_at = now + RETRY_S
            work |= dict.fromkeys(map(self._files.__getitem__, self._stuck))
        elif self._stuck:
            work = dict.fromkeys(file for file in touched if file.recording not in self._stuck)
        for file in work:
            self._work(file)
            if self._flushed.audio_bytes > TOLD_BYTES:
                self._tell()
        self.busy_since = 0.0
        self._tell()

    def close(self) -> None:
        """After the thread has ended."""
        while self._files:
            self._files.popitem()[1].close()

    def _accept(self, flush: Flush) -> "_LiveFile":
        recording = flush.header.recording_id
        file = self._files.get(recording)
        if file is None:
            file = self._files[recording] = _LiveFile(flush.header, self._storage)
        file.waiting += flush.pieces
        if flush.frames > file.wanted:
            file.wanted, file.lines = flush.frames, flush.lines
        file.last |= flush.last
        return file

    def _work(self, file: "_LiveFile") -> None:
        self.busy_since = time.monotonic()
        try:
            self._flushed.audio_bytes += file.write()
            file.extend()
        except OSError as error:
            self._flushed.audio_bytes += file.take_written()
            if not self._is_gone(error):
                self._stand_still(file, disk.reason_of(error))
                return
            self._give_up(file)
        except Exception as error:  # noqa: BLE001 - a bug that one recording meets is that one's alone
            self._on_crash(error)
            self._give_up(file)
        if file.recording in self._stuck:
            del self._stuck[file.recording]
            self._flushed.troubles[file.recording] = None
        if file.last:
            self._end(file)

    def _is_gone(self, error: OSError) -> bool:
        """Somebody removed the file: no disk that comes back will bring it."""
        return isinstance(error, FileNotFoundError) and os.path.isdir(self._storage.live)

    def _give_up(self, file: "_LiveFile") -> None:
        lost = file.give_up()
        self._flushed.audio_bytes += lost + file.take_written()
        self._flushed.lost_bytes[file.recording] = self._flushed.lost_bytes.get(file.recording, 0) + lost

    def _stand_still(self, file: "_LiveFile", reason: str) -> None:
        if self._stuck.get(file.recording) != reason:
            self._stuck[file.recording] = self._flushed.troubles[file.recording] = reason

    def _end(self, file: "_LiveFile") -> None:
        del self._files[file.recording]
        file.close()
        self._flushed.closed.append(file.recording)

    def _tell(self) -> None:
        told = self._flushed
        if told.audio_bytes or told.troubles or told.closed or told.lost_bytes:
            self._flushed = Flushed()
            self._report(told)


class _LiveFile:
    """A file that grows; opened when there is first something to write, open until its last flush."""

    __slots__ = (
        "_fd", "_head", "_header", "_promised", "_size", "_storage", "_written_bytes",
        "last", "lines", "recording", "waiting", "wanted",
    )  # fmt: skip

    def __init__(self, header: Header, storage: Storage) -> None:
        self.recording = header.recording_id
        self.waiting: list[Piece] = []
        self.wanted = 0  # frames that the file is to be long
        self.lines = 0
        self.last = False
        self._header = header
        self._storage = storage
        self._fd = -1
        self._head = bytearray()
        self._size = wav.HEADER_BYTES
        self._promised = 0
        self._written_bytes = 0

    def write(self) -> int:
        """All that waits; returns its bytes. What could be written before an `OSError` waits no more."""
        if not self.waiting:
            return 0
        fd = self._open()
        if len(self.waiting) == 1:  # nearly always
            first, frames = self.waiting[0]
            start, size = wav.data_end(first), len(frames)
            disk.write_one(fd, frames, start)
            self.waiting.clear()
            self._size = max(self._size, start + size)
            return size
        for block in list(_runs(self.waiting)):
            self._put(fd, block)
            del self.waiting[: len(block)]
        return self.take_written()

    def take_written(self) -> int:
        written, self._written_bytes = self._written_bytes, 0
        return written

    def extend(self) -> None:
        """The file first, the header second."""
        frames = self.wanted
        if frames <= self._promised:
            return
        fd, end = self._open(), wav.data_end(frames)
        if end > self._size:
            os.ftruncate(fd, end)
            self._size = end
        wav.promise(self._head, frames, lines=self.lines)
        disk.write_one(fd, self._head, 0)
        self._promised = frames

    def give_up(self) -> int:
        """Nothing more of it is written; returns the bytes that waited."""
        dropped = sum(len(piece.frames) for piece in self.waiting)
        self.waiting.clear()
        self.wanted = self._promised
        return dropped

    def close(self) -> None:
        if self._fd >= 0:
            disk.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        if self._fd < 0:
            self._fd = disk.open_existing(self._storage.live_audio(self.recording))
            self._head = bytearray(wav.header(wav.constant_part(identity(self._header)), 0))
        return self._fd

    def _put(self, fd: int, block: Sequence[Piece]) -> None:
        disk.write_at(fd, [piece.frames for piece in block], wav.data_end(block[0].first))
        self._size = max(self._size, wav.data_end(block[-1].end))
        self._written_bytes += sum(len(piece.frames) for piece in block)


def identity(header: Header) -> wav.Identity:
    return wav.Identity(header.recording_id, header.call_id, header.answered_at_ms, header.sample_rate)


def _runs(pieces: Sequence[Piece]) -> Iterator[Sequence[Piece]]:
    """Adjoining pieces, to go out in one write."""
    first = 0
    for index in range(1, len(pieces) + 1):
        if index == len(pieces) or pieces[index].first != pieces[index - 1].end:
            yield pieces[first:index]
            first = index
