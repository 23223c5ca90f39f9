"""The journal thread: toggles become durable here, apart from the audio so that no burst delays them.

All lines that wait for one journal go out in one write and one fsync. An **opening** that fails is
cut off again and forgotten: it did not happen. Every other line must be written (and an opening that
nobody waits for: the policy's): it is tried again until the disk takes it, in order, before any later
line.
"""

import errno
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

RETRY_S = 0.5
UNKNOWN = "not_recording"


@dataclass(frozen=True, slots=True)
class Append:
    """One line; a `Header` begins a journal and its live file. `ticket` names it in the result. With
    `must` it is tried again until it is durable; without, it may be refused."""

    ticket: int
    recording: RecordingId
    record: Record
    must: bool = True


@dataclass(frozen=True, slots=True)
class Forget:
    """Close the journal, written or not. Its file is left to whoever asked; `then` is called, in the
    journal's thread, when no line asked for before can bring that file back."""

    recording: RecordingId
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """What became of a line: `durable`, or not and why; `awaited` when it is still to be written, `lost`
    when it never will be: the file must not grow beyond what it would have told."""

    ticket: int
    durable: bool
    reason: str | None = None
    awaited: bool = False
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Journalled:
    """The lines of one journal, settled together; `fsync_s` is None when it did not come to that.
    `waits_for` is why lines of it still wait for the disk."""

    recording: RecordingId
    lines: tuple[Line, ...]
    fsync_s: float | None = None
    waits_for: str | None = None


@dataclass(slots=True)
class _Journal:
    header: Header
    path: Path
    fd: int | None = None
    audio_there: bool = False  # of our own making, with its header
    begun: bool = False
    size: int = 0
    lines: int = 0
    torn: bool = False  # bytes that nobody vouches for may lie beyond `size`
    unwritten: list[Append] = field(default_factory=list)


class JournalWriter:
    """Owned by its thread: `perform` is the only entrance. `busy_since` is as the audio writer's."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Journalled], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self.busy_since = 0.0
        self._storage = storage
        self._report = report
        self._on_crash = on_crash
        self._journals: dict[RecordingId, _Journal] = {}
        self._behind: set[RecordingId] = set()
        self._retry_at = 0.0

    def perform(self, batch: list[Append | Forget]) -> None:
        """An empty batch tries again what failed."""
        waiting = dict.fromkeys(self._due_again(at_once=not batch))
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
        self.busy_since = 0.0

    def close(self) -> None:
        """After the thread has ended."""
        for recording in list(self._journals):
            self._forget(recording)

    def _due_again(self, *, at_once: bool) -> Iterable[RecordingId]:
        now = time.monotonic()
        if not at_once and now < self._retry_at:
            return ()
        self._retry_at = now + RETRY_S
        return self._behind

    def _accept(self, item: Append) -> None:
        if isinstance(item.record, Header):
            path = self._storage.journal(item.recording)
            self._journals.setdefault(item.recording, _Journal(item.record, path))
        if opened := self._journals.get(item.recording):
            opened.unwritten.append(item)
        else:
            self._report(Journalled(item.recording, (Line(item.ticket, False, UNKNOWN, lost=True),)))

    def _forget(self, recording: RecordingId) -> None:
        self._behind.discard(recording)
        closed = self._journals.pop(recording, None)
        if closed is not None and closed.fd is not None:
            self.busy_since = time.monotonic()
            disk.close(closed.fd)

    def _settle_all(self, recordings: Iterable[RecordingId]) -> None:
        for recording in list(recordings):
            opened = self._journals.get(recording)
            if opened is not None and opened.unwritten:
                self.busy_since = time.monotonic()
                self._report(self._supervised(opened))
                keep = self._behind.add if opened.unwritten else self._behind.discard
                keep(recording)

    def _supervised(self, opened: _Journal) -> Journalled:
        """A bug that one recording meets ends its journal, so that no later line can contradict it."""
        try:
            return self._settle(opened)
        except Exception as error:  # noqa: BLE001 - the supervisor of one recording's journal
            self._on_crash(error)
            reason = disk.STORAGE_ERROR
            lines = tuple(Line(item.ticket, False, reason, lost=True) for item in opened.unwritten)
            opened.unwritten.clear()
            self._forget(opened.header.recording_id)
            return Journalled(opened.header.recording_id, lines)

    def _settle(self, opened: _Journal) -> Journalled:
        recording = opened.header.recording_id
        refused: tuple[Line, ...] = ()
        try:
            if not all(item.must for item in opened.unwritten) and not self._storage.has_space():
                refused = _refuse_openings(opened)
                if not opened.unwritten:
                    return Journalled(recording, refused)
            if not opened.begun:
                self._begin(opened)
            fsync_s = _write(opened)
        except OSError as error:
            reason = disk.reason_of(error)
            failed = _failed(opened, reason)
            return Journalled(recording, refused + failed, waits_for=reason if opened.unwritten else None)
        lines = tuple(Line(item.ticket, True) for item in opened.unwritten)
        opened.unwritten.clear()
        return Journalled(recording, refused + lines, fsync_s)

    def _begin(self, opened: _Journal) -> None:
        """The journal's file, then the audio's, then the names: no audio file without a journal. Where the
        disk stopped us, the next try goes on."""
        if opened.fd is None:
            opened.fd = disk.create(opened.path)
        _make_audio(self._storage.live_audio(opened.header.recording_id), opened)
        disk.sync_directory(self._storage.live)
        opened.begun = True


def _make_audio(path: Path, opened: _Journal) -> None:
    """It appears with its header, so that it opens in any player from its first moment on. No fsync: a
    header that a power cut takes away is written anew by the repair."""
    if opened.audio_there:
        return
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    with disk.drafted(path) as (_, fd):
        disk.write_at(fd, [wav.header(wav.constant_part(identity(opened.header)), 0)], 0)
    opened.audio_there = True


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
    refused = tuple(Line(i.ticket, False, disk.STORAGE_FULL) for i in opened.unwritten if not i.must)
    opened.unwritten = [item for item in opened.unwritten if item.must]
    return refused


def _failed(opened: _Journal, reason: str) -> tuple[Line, ...]:
    """An opening is dropped, or annulled where its line may have stayed; all else goes on waiting."""
    opened.torn = not _cut(opened)
    failed, opened.unwritten = opened.unwritten, []
    for item in failed:
        if item.must:
            opened.unwritten.append(item)
        elif opened.torn:
            opened.unwritten.append(_annulment(item))
    return tuple(Line(i.ticket, False, reason, awaited=opened.torn or i.must) for i in failed)


def _cut(opened: _Journal) -> bool:
    """Remove what lies beyond the last durable line; false when the disk refuses even that."""
    if opened.fd is None:
        return True
    try:
        os.ftruncate(opened.fd, opened.size)
    except OSError:
        return False
    return True


def _annulment(item: Append) -> Append:
    assert isinstance(item.record, Toggled)
    return Append(item.ticket, item.recording, Annulled(item.record.number))
