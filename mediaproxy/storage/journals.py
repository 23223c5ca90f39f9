"""The journal thread: toggles become durable here, apart from the audio so that no burst delays them.

All lines that wait for one journal go out in one write and one fsync. An **opening** that fails is
cut off again and forgotten: it did not happen. Every other line must be written: it is tried again
until the disk takes it, in order, before any later line.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mediaproxy.ids import RecordingId
from mediaproxy.recording import journal, wav
from mediaproxy.recording.journal import Annulled, Header, Record, Toggled
from mediaproxy.storage import disk
from mediaproxy.storage.audio import identity
from mediaproxy.storage.store import Storage

RETRY_S = 1.0
UNKNOWN = "not_recording"


@dataclass(frozen=True, slots=True)
class Append:
    """One line; a `Header` begins a journal and its live file. `ticket` names it in the result."""

    ticket: int
    recording: RecordingId
    record: Record


@dataclass(frozen=True, slots=True)
class Forget:
    """Close the journal, written or not. Its file is left to whoever asked; `then` is called, in the
    journal's thread, when no line asked for before can bring that file back."""

    recording: RecordingId
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a line: `durable`, or not and why; `awaited` when it is still to be written."""

    ticket: int
    durable: bool
    reason: str | None = None
    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Journalled:
    """The lines of one journal, settled together; `fsync_s` is None when it did not come to that.

    `space_again` comes alone: openings had been refused for want of space and need be no more.
    """

    lines: tuple[Line, ...]
    fsync_s: float | None = None
    space_again: bool = False


@dataclass(slots=True)
class _Journal:
    header: Header
    path: Path
    fd: int | None = None
    size: int = 0
    lines: int = 0
    torn: bool = False  # bytes that nobody vouches for may lie beyond `size`
    unwritten: list[Append] = field(default_factory=list)


class JournalWriter:
    """Owned by its thread: `perform` is the only entrance."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Journalled], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._storage = storage
        self._report = report
        self._on_crash = on_crash
        self._journals: dict[RecordingId, _Journal] = {}
        self._behind: set[RecordingId] = set()
        self._full = False

    def perform(self, batch: list[Append | Forget]) -> None:
        """An empty batch tries again what failed."""
        if not batch:
            self._look_for_space()
        waiting = dict.fromkeys(self._behind if not batch else ())
        for item in batch:
            if isinstance(item, Append):
                self._accept(item)
                waiting[item.recording] = None
            else:
                self._settle_all([item.recording] if item.recording in waiting else [])
                self._forget(item.recording)
                if item.then is not None:
                    item.then()
        self._settle_all(waiting)

    def close(self) -> None:
        """After the thread has ended."""
        for recording in list(self._journals):
            self._forget(recording)

    def _look_for_space(self) -> None:
        if self._full and self._storage.has_space():
            self._full = False
            self._report(Journalled((), space_again=True))

    def _accept(self, item: Append) -> None:
        if isinstance(item.record, Header):
            path = self._storage.journal(item.recording)
            self._journals.setdefault(item.recording, _Journal(item.record, path))
        if opened := self._journals.get(item.recording):
            opened.unwritten.append(item)
        else:
            self._report(Journalled((_lost(item, UNKNOWN),)))

    def _forget(self, recording: RecordingId) -> None:
        self._behind.discard(recording)
        closed = self._journals.pop(recording, None)
        if closed is not None and closed.fd is not None:
            os.close(closed.fd)

    def _settle_all(self, recordings: Iterable[RecordingId]) -> None:
        for recording in list(recordings):
            opened = self._journals.get(recording)
            if opened is not None and opened.unwritten:
                self._report(self._supervised(opened))
                keep = self._behind.add if opened.unwritten else self._behind.discard
                keep(recording)

    def _supervised(self, opened: _Journal) -> Journalled:
        """A bug that one recording meets ends its journal, so that no later line can contradict it."""
        try:
            return self._settle(opened)
        except Exception as error:  # noqa: BLE001 - the supervisor of one recording's journal
            self._on_crash(error)
            lines = tuple(_lost(item, disk.STORAGE_ERROR) for item in opened.unwritten)
            opened.unwritten.clear()
            self._forget(opened.header.recording_id)
            return Journalled(lines)

    def _settle(self, opened: _Journal) -> Journalled:
        refused: tuple[Line, ...] = ()
        try:
            if any(_opens(item) for item in opened.unwritten) and not self._storage.has_space():
                refused = _refuse_openings(opened)
                self._full = True
                if not opened.unwritten:
                    return Journalled(refused)
            if opened.fd is None:
                self._begin(opened)
            fsync_s = _write(opened)
        except OSError as error:
            failed = _failed(opened, disk.reason_of(error))
            return Journalled(refused + failed)
        lines = tuple(Line(item.ticket, True) for item in opened.unwritten)
        opened.unwritten.clear()
        return Journalled(refused + lines, fsync_s)

    def _begin(self, opened: _Journal) -> None:
        """The journal's file, then the audio's, then the names: no audio file without a journal."""
        fd = disk.create(opened.path)
        audio = self._storage.live_audio(opened.header.recording_id)
        try:
            _make_audio(audio, opened.header)
            disk.sync_directory(self._storage.live)
        except OSError:
            os.close(fd)
            audio.unlink(missing_ok=True)
            opened.path.unlink(missing_ok=True)
            raise
        opened.fd = fd


def _make_audio(path: Path, header: Header) -> None:
    """No fsync: a header that a power cut takes away is written anew by the repair."""
    fd = disk.create(path)
    try:
        disk.write_at(fd, [wav.header(wav.constant_part(identity(header)), 0)], 0)
    finally:
        os.close(fd)


def _write(opened: _Journal) -> float:
    """Append all that is unwritten, durably; returns how long the fsync took."""
    assert opened.fd is not None
    if opened.torn:
        os.ftruncate(opened.fd, opened.size)
        opened.torn = False
    lines = [journal.encode(item.record, opened.lines + i) for i, item in enumerate(opened.unwritten)]
    disk.write_at(opened.fd, lines, opened.size)
    began = time.monotonic()
    os.fdatasync(opened.fd)
    opened.size += sum(map(len, lines))
    opened.lines += len(lines)
    return time.monotonic() - began


def _refuse_openings(opened: _Journal) -> tuple[Line, ...]:
    """What space is left is kept for what must be written."""
    refused = tuple(Line(i.ticket, False, disk.STORAGE_FULL) for i in opened.unwritten if _opens(i))
    opened.unwritten = [item for item in opened.unwritten if not _opens(item)]
    return refused


def _failed(opened: _Journal, reason: str) -> tuple[Line, ...]:
    """An opening is dropped, or annulled where its line may have stayed; all else goes on waiting."""
    opened.torn = not _cut(opened)
    failed, opened.unwritten = opened.unwritten, []
    for item in failed:
        if not _opens(item):
            opened.unwritten.append(item)
        elif opened.torn:
            opened.unwritten.append(_annulment(item))
    return tuple(Line(i.ticket, False, reason, awaited=opened.torn or not _opens(i)) for i in failed)


def _cut(opened: _Journal) -> bool:
    """Remove what lies beyond the last durable line; false when the disk refuses even that."""
    if opened.fd is None:
        return True
    try:
        os.ftruncate(opened.fd, opened.size)
    except OSError:
        return False
    return True


def _lost(item: Append, reason: str) -> Line:
    """It will never be durable: the file must not grow beyond what it would have told, save an opening."""
    return Line(item.ticket, False, reason, awaited=not _opens(item))


def _opens(item: Append) -> bool:
    return isinstance(item.record, Toggled) and item.record.opens


def _annulment(item: Append) -> Append:
    assert isinstance(item.record, Toggled)
    return Append(item.ticket, item.recording, Annulled(item.record.number))
