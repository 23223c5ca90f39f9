"""Renditions of published masters: Opus and MP3, made when first asked for and kept.

An encoder runs for seconds to minutes and never in this process: it would hold up live audio. A
rendition lies in `<directory>/renditions`, named by its recording, its master's SHA-256 and its format;
it may be deleted at any time and is then made anew.
"""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from mediaproxy.errors import Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.storage import disk
from mediaproxy.storage.store import Storage

Format = Literal["opus", "mp3"]

MAX_WORKERS: Final = 2
MAX_UNDER_WAY: Final = 32  # waiting ones included
TIMEOUT_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 500_000  # of the master: 16 times as fast as the call, a thirtieth of normal

BUSY: Final = "too many renditions are being made; ask again later"
CLOSED: Final = "the proxy is stopping; ask again later"
TOO_LONG: Final = "the encoder took too long and was stopped"
FULL: Final = "the storage is full"
DISK: Final = "the storage cannot be read or written"
NOT_THE_MASTER: Final = "the file is not the one that was published: its SHA-256 is another one"
BROKEN: Final = "the encoder failed"

_WORKER: Final = "mediaproxy.storage.encode"
_ENDING_S: Final = 5.0

T = TypeVar("T")


class Exit(IntEnum):
    """What a worker says at its end; anything else is a crash."""

    MADE = 0
    STORAGE_FULL = 3
    STORAGE_ERROR = 4
    NOT_THE_MASTER = 5


_REASONS: Final[Mapping[int, str]] = {
    Exit.STORAGE_FULL: FULL,
    Exit.STORAGE_ERROR: DISK,
    Exit.NOT_THE_MASTER: NOT_THE_MASTER,
}


class Renditions:
    """Owned by one loop. Who asks for what is already being made waits for that one.

    `files` does the blocking work here; `on_failed` is told the recording, why, and the worker's last
    words.
    """

    def __init__(
        self, storage: Storage, files: Executor, on_failed: Callable[[RecordingId, str, str], None]
    ) -> None:
        self._storage = storage
        self._files = files
        self._on_failed = on_failed
        self._slots = asyncio.Semaphore(MAX_WORKERS)
        self._under_way: dict[Path, asyncio.Task[None]] = {}
        self._closed = False

    async def get(self, recording: RecordingId, master: Path, sha256: str, form: Format) -> Path:
        """The rendition's file; made first when it is not there. `Unavailable` says why there is none."""
        target = self._storage.rendition(recording, sha256, form)
        if await self._off_loop(target.is_file):
            return target
        making = self._under_way.get(target)
        if making is None:
            if self._closed or len(self._under_way) >= MAX_UNDER_WAY:
                raise Unavailable(CLOSED if self._closed else BUSY)
            making = asyncio.create_task(self._make(recording, master, target, sha256, form))
            self._under_way[target] = making
            making.add_done_callback(lambda done: self._settle(target, done))
        try:
            await asyncio.shield(making)  # a client that hangs up takes it from no other
        except asyncio.CancelledError:
            if self._closed:
                raise Unavailable(CLOSED) from None
            raise
        return target

    async def close(self) -> None:
        """Stop what is under way; whoever waits for it is told. Idempotent."""
        self._closed = True
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _settle(self, target: Path, done: asyncio.Task[None]) -> None:
        del self._under_way[target]
        if not done.cancelled():
            done.exception()  # seen, also when nobody waits any more

    async def _make(
        self, recording: RecordingId, master: Path, target: Path, sha256: str, form: Format
    ) -> None:
        async with self._slots:
            if await self._off_loop(target.is_file):
                return
            try:
                timeout_s = await self._off_loop(self._prepare, master)
                await self._encode(str(master), str(target), sha256, form, timeout_s=timeout_s)
            except _Failed as failed:
                self._on_failed(recording, failed.reason, failed.last_words)
                raise Unavailable(f"no {form} of this recording could be made: {failed.reason}") from failed
            finally:
                await self._off_loop(_remove_draft, target)

    def _prepare(self, master: Path) -> float:
        """How long a worker may take. Renditions never take the space that live calls need."""
        try:
            disk.make_directory(self._storage.renditions)
            if not self._storage.has_space():
                raise _Failed(FULL)
            return TIMEOUT_S + master.stat().st_size / SLOWEST_BYTES_PER_S
        except OSError as error:
            raise _Failed(FULL if disk.reason_of(error) == disk.STORAGE_FULL else DISK) from error

    async def _encode(self, *arguments: str, timeout_s: float) -> None:
        try:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", _WORKER, *arguments),
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                env=_environment(),
            )
        except OSError as error:  # no process, no memory
            raise _Failed(BROKEN, error.strerror or "") from error
        try:
            async with asyncio.timeout(timeout_s):
                _, words = await worker.communicate()
        except TimeoutError:
            raise _Failed(TOO_LONG) from None
        finally:
            await _ended(worker)
        if worker.returncode != Exit.MADE:
            code = worker.returncode or 0
            last = words.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise _Failed(_REASONS.get(code, BROKEN), last or f"exit {code}")

    async def _off_loop(self, act: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._files, act, *arguments)


class _Failed(Exception):
    def __init__(self, reason: str, last_words: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.last_words = last_words


async def _ended(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is None:
        worker.kill()
        with suppress(TimeoutError):  # in the grip of a hung disk: it ends when that lets go
            await asyncio.wait_for(worker.communicate(), _ENDING_S)


def _environment() -> dict[str, str]:
    """Ours, less the configuration: a worker needs no password."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MEDIAPROXY_")}


def draft_of(target: Path) -> Path:
    """Where a rendition grows before it has its name."""
    return target.with_name(target.name + ".tmp")


def _remove_draft(target: Path) -> None:
    """What a killed worker left; the next start tries again."""
    with suppress(OSError):
        draft_of(target).unlink(missing_ok=True)
