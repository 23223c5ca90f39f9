"""Renditions of published masters: in another format, made when first asked for and kept for a while.

An encoder runs for seconds to minutes and never in this process: it would hold up live audio. A
rendition lies in `<directory>/renditions`, named by its recording, its master's SHA-256 and its format;
it may be deleted at any time and is then made anew. Together they have a limit: what was not asked for
for the longest time goes first.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from mediaproxy.errors import Malformed, Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest
from mediaproxy.storage import disk
from mediaproxy.storage.encoders import BUSY, CLOSED, DISK, FULL, MAX_WORKERS, Encoders, Failed
from mediaproxy.storage.jobs import Form, Job
from mediaproxy.storage.store import Storage

MAX_BYTES: Final = 1 << 30
MAX_UNDER_WAY: Final = 32  # waiting ones included
TIMEOUT_S: Final = 60.0
CHANGED: Final = "the recording was changed meanwhile"
SLOWEST_BYTES_PER_S: Final = 500_000  # of the master: 16 times as fast as the call, a thirtieth of normal


class Renditions:
    """Owned by one loop. Who asks for what is already being made waits for that one.

    `files` looks up what is there; `on_failed` is told the recording, why, and the worker's last words;
    `max_bytes` is what is kept of all of them.
    """

    def __init__(
        self,
        storage: Storage,
        files: Executor,
        on_failed: Callable[[RecordingId, str, str], None],
        *,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self._storage = storage
        self._files = files
        self._on_failed = on_failed
        self._max_bytes = max_bytes
        self._encoders = Encoders(MAX_WORKERS)
        self._threads = ThreadPoolExecutor(MAX_WORKERS, "renditions")  # one for each worker
        self._under_way: dict[Path, asyncio.Task[None]] = {}
        self._closed = False

    async def get(self, recording: RecordingId, master: Path, sha256: str, form: Form) -> Path:
        """The rendition's file; made first when it is not there. `Unavailable` says why there is none.

        Whoever removes or redacts a master deletes `<recording>-*` of `<directory>/renditions`, drafts
        too: no worker ends with a copy of what was there before.
        """
        target = self._storage.rendition(recording, sha256, form)
        if await asyncio.get_running_loop().run_in_executor(self._files, _used, target):
            return target
        making = self._under_way.get(target)
        if making is None:
            if self._closed or len(self._under_way) >= MAX_UNDER_WAY:
                raise Unavailable(CLOSED if self._closed else BUSY)
            making = asyncio.create_task(self._make(recording, master, target, sha256, form))
            self._under_way[target] = making
            making.add_done_callback(lambda done: self._settle(target, done))
        await asyncio.shield(making)  # a client that hangs up takes it from no other
        return target

    async def close(self) -> None:
        """Stop what is under way; whoever waits for it is told. Idempotent."""
        self._closed = True
        self._encoders.stop()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)
        self._threads.shutdown()

    def _settle(self, target: Path, done: asyncio.Task[None]) -> None:
        del self._under_way[target]
        if not done.cancelled():
            done.exception()  # seen, also when nobody waits any more

    async def _make(
        self, recording: RecordingId, master: Path, target: Path, sha256: str, form: Form
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._encode, master, target, sha256, form)
        except Failed as failed:
            if failed.reason == CLOSED:
                raise Unavailable(CLOSED) from failed
            self._on_failed(recording, failed.reason, failed.last_words)
            raise Unavailable(f"no {form} of this recording could be made: {failed.reason}") from failed

    def _encode(self, master: Path, target: Path, sha256: str, form: Form) -> None:
        """On a thread of our own."""
        if self._closed:
            raise Failed(CLOSED)
        if not target.is_file():
            timeout_s = TIMEOUT_S + self._prepare(master) / SLOWEST_BYTES_PER_S
            self._encoders.run(Job(form, master, target, sha256), timeout_s=timeout_s)
            if _was_changed(master, sha256):
                target.unlink(missing_ok=True)
                raise Failed(CHANGED)
            _used(target)
            trim(self._storage.renditions, self._max_bytes, but=target)

    def _prepare(self, master: Path) -> int:
        """The master's bytes. Renditions never take the space that live calls need."""
        try:
            disk.make_directory(self._storage.renditions)
            if not self._storage.has_space():
                trim(self._storage.renditions, 0)
            if not self._storage.has_space():
                raise Failed(FULL)
            return master.stat().st_size
        except OSError as error:
            raise Failed(FULL if disk.reason_of(error) == disk.STORAGE_FULL else DISK) from error


def _was_changed(master: Path, sha256: str) -> bool:
    """It was redacted or removed while a copy was made of it: the copy must not stay."""
    try:
        claims = manifest.decode(master.with_suffix(".json").read_bytes())
    except (OSError, Malformed):
        return not master.exists()
    return claims.master.sha256 != sha256


def trim(directory: Path, max_bytes: int, *, but: Path | None = None) -> None:
    """Delete what was not used for the longest time until no more than this is left, `but` always."""
    files = [(stat.st_atime_ns, stat.st_size, path) for path, stat in _finished(directory)]
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= max_bytes:
            return
        if path != but:
            path.unlink(missing_ok=True)
            total -= size


def _finished(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in directory.iterdir():
        if path.suffix != ".tmp":
            with suppress(FileNotFoundError):
                yield path, path.lstat()


def _used(rendition: Path) -> bool:
    """Whether it is there; if so its time of access is now, which many file systems do not note."""
    try:
        os.utime(rendition, ns=(time.time_ns(), rendition.stat().st_mtime_ns))
    except OSError:
        return False
    return True
