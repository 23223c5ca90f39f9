"""The chain on disk: `<directory>/chain.jsonl`, a line an entry, only ever added to.

Whoever adds holds a lock on the file, so that the server and a command beside it take turns. What a
crash left of a line has no newline yet and was acknowledged to nobody: the next one to add cuts it off.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from mediaproxy.clock import NS_PER_MS, rfc3339
from mediaproxy.errors import Malformed
from mediaproxy.recording import chain
from mediaproxy.recording.chain import NOTHING_YET, TOMBSTONES, Draft, Entry, Head
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import disk

CHAIN_FILE = "chain.jsonl"
READ_BYTES = 1 << 16
_ID_FIELD_BYTES = len('"recording_id":""') + 36


def unix_ms() -> int:
    return time.time_ns() // NS_PER_MS


class Chain:
    """Any thread and any process may use one; it keeps nothing in memory. All of it blocks."""

    def __init__(self, path: Path, private_key: bytes, *, now_ms: Callable[[], int] = unix_ms) -> None:
        self.path = path
        self._private_key = private_key
        self.now_ms = now_ms

    def append(self, *drafts: Draft, once: bool = False) -> list[Entry]:
        """Add them in this order, durably, by one write and one sync; all or (`OSError`) none.

        With `once` what the chain already says last of its recording, of the same manifest, is not said
        again: for who cannot know whether a crash came before or after. That reads the whole chain.
        """
        with self._opened(fcntl.LOCK_EX) as fd:
            size = _cut_torn_line(fd)
            known = _last_entries(fd, {draft.recording_id for draft in drafts}) if once else {}
            wanted = [draft for draft in drafts if not _says(known.get(draft.recording_id), draft)]
            entries = self._entries(wanted, _head(fd, size))
            _add(fd, size, entries)
        return entries

    def head(self) -> Head:
        """The last whole line."""
        with self._opened(fcntl.LOCK_SH) as fd:
            return _head(fd, _whole_bytes(fd))

    def last(self, recording: str) -> Entry | None:
        """What the chain says last of a recording. Reads all of it."""
        return self.lasts({recording}).get(recording)

    def lasts(self, recordings: set[str]) -> dict[str, Entry]:
        """The same of many, for as much reading; nothing of those that it does not know."""
        with self._opened(fcntl.LOCK_SH) as fd:
            return _last_entries(fd, recordings)

    def begin(self, drafts: Sequence[Draft]) -> bool:
        """Make the chain, holding these, unless there is one; whether it was made."""
        if os.path.lexists(self.path):
            return False
        lines = (chain.encode(each) + b"\n" for each in self._entries(drafts, NOTHING_YET))
        disk.write_new(self.path, b"".join(lines))
        disk.sync_directory(self.path.parent)
        return True

    def _entries(self, drafts: Sequence[Draft], head: Head) -> list[Entry]:
        entries = []
        at = rfc3339(self.now_ms())
        for draft in drafts:
            entry = chain.entry(draft, head, at, self._private_key)
            entries.append(entry)
            head = Head(entry.seq, chain.sha256(chain.encode(entry)))
        return entries

    @contextmanager
    def _opened(self, lock: int) -> Iterator[int]:
        """A descriptor of its own each time: the lock is the descriptor's, so threads take turns too."""
        access = os.O_RDWR | os.O_CREAT if lock == fcntl.LOCK_EX else os.O_RDONLY
        fd = os.open(self.path, access | os.O_NOFOLLOW | os.O_CLOEXEC, disk.FILE_MODE)
        try:
            fcntl.flock(fd, lock)
            yield fd
        finally:
            os.close(fd)


def adoptions(root: Path) -> Iterator[Draft]:
    """A draft for each published recording that lies in a storage directory."""
    for document in sorted(root.glob("[0-9]*/[0-9]*/[0-9]*/*.json")):
        yield Draft(chain.ADOPTED, document.stem, chain.sha256(document.read_bytes()), Actor("recovery"))


def read(path: Path) -> bytes:
    """The chain as it lies, in whole lines where its writers live. `OSError`, also when there is none."""
    fd = disk.open_to_read(path)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH)
        with os.fdopen(os.dup(fd), "rb") as file:
            return file.read()
    finally:
        os.close(fd)


def _add(fd: int, size: int, entries: Sequence[Entry]) -> None:
    if not entries:
        return
    try:
        disk.write_at(fd, [b"".join(chain.encode(each) + b"\n" for each in entries)], size)
        os.fsync(fd)
    except OSError:
        os.ftruncate(fd, size)
        raise


def _cut_torn_line(fd: int) -> int:
    size = _whole_bytes(fd)
    if size < os.fstat(fd).st_size:
        os.ftruncate(fd, size)
    return size


def _whole_bytes(fd: int) -> int:
    """The length of all whole lines."""
    return _after_newline(fd, os.fstat(fd).st_size)


def _after_newline(fd: int, end: int) -> int:
    """Where the line begins that goes on at `end`, however long it is."""
    while end:
        start = max(0, end - READ_BYTES)
        found = os.pread(fd, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _head(fd: int, size: int) -> Head:
    if not size:
        return NOTHING_YET
    start = _after_newline(fd, size - 1)
    line = os.pread(fd, size - 1 - start, start)
    try:
        return chain.head_of(line)
    except Malformed:  # someone wrote into it: that is for `verify` to tell, and no reason not to publish
        return Head(_count_lines(fd) - 1, chain.sha256(line))


def _count_lines(fd: int) -> int:
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        return sum(line.endswith(b"\n") for line in file)


def _last_entries(fd: int, recordings: set[str]) -> dict[str, Entry]:
    """What the chain says last of each of these. What is none of ours is for `verify` to complain of."""
    wanted = {f'"recording_id":"{each}"'.encode(): each for each in recordings}
    found: dict[str, Entry] = {}
    with os.fdopen(os.dup(fd), "rb") as file:
        file.seek(0)
        for line in file:
            at = line.find(b'"recording_id":"')
            recording = wanted.get(line[at : at + _ID_FIELD_BYTES])
            if recording is not None:
                with suppress(Malformed):
                    found[recording] = chain.decode(line.rstrip(b"\n"))
    return found


def _says(last: Entry | None, draft: Draft) -> bool:
    if last is None or last.manifest != draft.manifest:
        return False
    return (last.kind in TOMBSTONES) == (draft.kind in TOMBSTONES)
