"""Once a day what was kept for as long as it was to be is removed, beside live calls and out of their way."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from mediaproxy.calllog.log import CallLog
from mediaproxy.recording.keeping import Limits
from mediaproxy.service import rows
from mediaproxy.service.events import EventStream
from mediaproxy.storage import Storage, retention
from mediaproxy.storage.retention import RETENTION, Due, LeftAlone

FIRST_S: Final = 30.0  # after the start, when recovery had its time
EVERY_S: Final = 86_400.0
CLOSE_WAIT_S: Final = 5.0
REST_S: Final = 0.005  # at each manifest: reading one costs a fiftieth of that

log = structlog.get_logger()


class Retention:
    """`limits` are asked for at each run: a reload may change them."""

    def __init__(
        self,
        *,
        storage: Storage,
        call_log: CallLog,
        events: EventStream,
        limits: Callable[[], Limits],
        now_ms: Callable[[], int],
    ) -> None:
        self._storage = storage
        self._call_log = call_log
        self._events = events
        self._limits = limits
        self._now_ms = now_ms
        self._stopped = threading.Event()
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run_daily())

    async def close(self) -> None:
        """What is just being removed is removed, and its row told, unless the disk hangs. Idempotent."""
        self._stopped.set()
        self._woken.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=CLOSE_WAIT_S)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def run(self) -> int:
        """Remove what is due; how many that were."""
        due = retention.due(self._storage.root, self._limits(), self._now_ms(), self._rest)
        expired = retention.expire(self._storage, due)
        removed = 0
        while (each := await asyncio.to_thread(self._next, expired)) is not None:
            removed += 1
            await self._tell(each)
        return removed

    async def _run_daily(self) -> None:
        await self._sleep(FIRST_S)
        while not self._stopped.is_set():
            try:
                log.info("recordings_expired", count=await self.run())
            except Exception:  # a task root: tomorrow is another day
                log.exception("retention_failed")
            await self._sleep(EVERY_S)

    async def _sleep(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)

    def _next(self, expired: Iterator[Due | LeftAlone]) -> Due | None:
        """On a thread: the next one that was removed."""
        while not self._stopped.is_set() and (each := next(expired, None)) is not None:
            if isinstance(each, Due):
                return each
            log.warning("recording_left_alone", path=str(each.path), why=each.why)
        return None

    def _rest(self) -> None:
        self._stopped.wait(REST_S)

    async def _tell(self, due: Due) -> None:
        log.info("recording_expired", recording=due.recording, why=due.why)
        logged = await self._call_log.call_of_recording(due.recording)
        if logged is None or logged.recording is None:
            return
        row = rows.deleted_row(logged.recording, self._now_ms())
        self._call_log.put_recording(row)
        self._events.publish(
            "recording.deleted", logged.call.id, due.recording, logged=replace(logged, recording=row),
            reason=due.why, means=RETENTION.means, user=None,
        )  # fmt: skip
