"""Renditions of published masters: Opus and MP3, made when first asked for and kept.

An encoder runs for seconds to minutes and never in this process: it would hold up live audio. A
rendition lies in `<directory>/renditions`, named by its recording, its master's SHA-256 and its format;
it may be deleted at any time and is then made anew.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import Final, Literal

from mediaproxy.errors import Unavailable
from mediaproxy.ids import RecordingId
from mediaproxy.storage import disk
from mediaproxy.storage.encoders import BUSY, CLOSED, DISK, FULL, Encoders, Failed
from mediaproxy.storage.store import Storage

Format = Literal["opus", "mp3"]

MAX_WORKERS: Final = 2
MAX_UNDER_WAY: Final = 32  # waiting ones included
TIMEOUT_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 500_000  # of the master: 16 times as fast as the call, a thirtieth of normal


class Renditions:
    """Owned by one loop. Who asks for what is already being made waits for that one.

    `files` looks up what is there; `on_failed` is told the recording, why, and the worker's last words.
    """

    def __init__(
        self, storage: Storage, files: Executor, on_failed: Callable[[RecordingId, str, str], None]
    ) -> None:
        self._storage = storage
        self._files = files
        self._on_failed = on_failed
        self._encoders = Encoders()
        self._threads = ThreadPoolExecutor(MAX_WORKERS, "renditions")  # one for each worker
        self._under_way: dict[Path, asyncio.Task[None]] = {}
        self._closed = False

    async def get(self, recording: RecordingId, master: Path, sha256: str, form: Format) -> Path:
        """The rendition's file; made first when it is not there. `Unavailable` says why there is none."""
        target = self._storage.rendition(recording, sha256, form)
        if await asyncio.get_running_loop().run_in_executor(self._files, target.is_file):
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
        self, recording: RecordingId, master: Path, target: Path, sha256: str, form: Format
    ) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._encode, master, target, sha256, form)
        except Failed as failed:
            if failed.reason == CLOSED:
                raise Unavailable(CLOSED) from failed
            self._on_failed(recording, failed.reason, failed.last_words)
            raise Unavailable(f"no {form} of this recording could be made: {failed.reason}") from failed

    def _encode(self, master: Path, target: Path, sha256: str, form: Format) -> None:
        """On a thread of our own."""
        if self._closed:
            raise Failed(CLOSED)
        if not target.is_file():
            timeout_s = TIMEOUT_S + self._prepare(master) / SLOWEST_BYTES_PER_S
            self._encoders.run(master, target, sha256, form, timeout_s=timeout_s)

    def _prepare(self, master: Path) -> int:
        """The master's bytes. Renditions never take the space that live calls need."""
        try:
            disk.make_directory(self._storage.renditions)
            if not self._storage.has_space():
                raise Failed(FULL)
            return master.stat().st_size
        except OSError as error:
            raise Failed(FULL if disk.reason_of(error) == disk.STORAGE_FULL else DISK) from error
