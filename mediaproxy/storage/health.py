"""Whether the disk takes what we write: what is wrong, who found it, and a look of our own.

Work that waits for the disk tries again by itself and says so when it got through. What was refused for
good (an opening) leaves nothing to try again, and on a machine that turns calls away nothing is written
at all: so a probe looks too, and writes as long as anything is suspicious.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from mediaproxy.storage import disk
from mediaproxy.storage.store import Storage

PROBE_S = 1.0
LOOK_S = 0.25  # between two looks whether a thread hangs
HUNG_S = 2.0  # no call to a disk that works takes so long

_PROBE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Probed:
    """`space` is the word for a disk that is nearly full or read-only, `refused` why nothing could be
    written; `wrote` says that something was."""

    space: str | None
    refused: str | None
    wrote: bool


class Probe:
    """Owned by its thread, but for `suspicious`, which the loop sets: then it writes, not only looks."""

    def __init__(self, storage: Storage, report: Callable[[Probed], None]) -> None:
        self.busy_since = 0.0
        self.suspicious = False
        self._storage = storage
        self._report = report
        self._told: Probed | None = None

    def perform(self, _: list[None]) -> None:
        self.busy_since = time.monotonic()
        probed = self._look()
        self.busy_since = 0.0
        if probed != self._told or probed.wrote:
            self._told = probed
            self._report(probed)

    def _look(self) -> Probed:
        space, refused, writes = None, None, self.suspicious
        try:
            space = _space(self._storage)
            if writes:
                self._write()
        except OSError as error:
            refused = disk.reason_of(error)
        return Probed(space, refused, writes and refused is None)

    def _write(self) -> None:
        path = self._storage.probe
        try:
            disk.write_new(path, bytes(_PROBE_BYTES))
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


class Troubles:
    """What is wrong with the disk, by the work that met it."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._reasons)

    @property
    def first(self) -> str | None:
        return next(iter(self._reasons.values()), None)

    def note(self, work: str, reason: str | None) -> None:
        if reason is None:
            self._reasons.pop(work, None)
        else:
            self._reasons[work] = reason


class Busy(Protocol):
    """A thread's work: when it last turned to the disk, and 0 while it does not wait for it."""

    @property
    def busy_since(self) -> float: ...


class HangWatch:
    """A thread that does not come back from the disk can say nothing itself."""

    def __init__(self, threads: Mapping[str, Busy]) -> None:
        self.hung: frozenset[str] = frozenset()
        self._threads = threads
        self._due = 0.0

    def look(self, now: float) -> bool:
        """Whether `hung`, the names of those that hang, changed; `now` is monotonic, in seconds."""
        if now < self._due:
            return False
        self._due = now + LOOK_S
        before = self.hung
        self.hung = frozenset(
            name for name, thread in self._threads.items() if 0.0 < thread.busy_since < now - HUNG_S
        )
        return self.hung != before


def _space(storage: Storage) -> str | None:
    space = os.statvfs(storage.live)
    if space.f_flag & os.ST_RDONLY:
        return disk.STORAGE_ERROR
    return None if space.f_bavail * space.f_frsize >= storage.min_free_bytes else disk.STORAGE_FULL
