"""The call log of a running proxy: rows go in without waiting, one task writes them in batches.

The promise: whatever was reported stored survives `kill -9` and a power cut. The limit of the
promise: a database that fails or hangs never holds up a call; its rows wait in memory, counted, and
are written when it is back.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from mediaproxy.calllog.backlog import Backlog, Key, Row
from mediaproxy.calllog.database import migrate, open_engine
from mediaproxy.calllog.outbox import Attempt, Delivery, Due, Message, Outlook, Prune, Replay
from mediaproxy.calllog.reader import Reader
from mediaproxy.calllog.rows import CallFilter, Cursor, InterruptedCall, LoggedCall, Page, RecordingRow
from mediaproxy.calllog.writer import is_rows_fault, write
from mediaproxy.calls.events import CallRecord

BACKLOG_ROWS = 50_000  # about 50 MB: hours of calls while the database is away
BATCH_ROWS = 200
PATIENCE_S = 0.5  # what the 2xx of a call waits for its row, at most
COALESCE_S = 0.05  # changes nobody waits for gather this long
READ_AFTER_WRITE_S = 0.3
RETRY_S = (0.1, 0.3, 1.0, 3.0)
CLOSE_S = 5.0
DISPOSE_S = 1.0

Alarm = Callable[[str, Mapping[str, object]], None]


@dataclass(slots=True)
class Counters:
    """Rows: `written` and `refused` (unstorable by themselves); `failures` counts attempts."""

    written: int = 0
    refused: int = 0
    failures: int = 0
    late: int = 0  # calls that went on before their row was stored


class CallLog:
    """Owns the database. Everything is called on the loop that opened it."""

    def __init__(self, engine: AsyncEngine, on_alarm: Alarm) -> None:
        self.counters = Counters()
        self._engine = engine
        self._reader = Reader(engine)
        self._alarm = on_alarm
        self._backlog = Backlog(BACKLOG_ROWS)
        self._waiters: list[asyncio.Future[bool]] = []
        self._in_flight = 0
        self._failing = False
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._wake = asyncio.Event()
        self._wake_timer: asyncio.TimerHandle | None = None
        self._task = self._loop.create_task(self._write_on(), name="calllog-writer")

    @classmethod
    async def open(cls, url: str, *, on_alarm: Alarm) -> Self:
        """Open and migrate. `on_alarm` gets a constant event name and its fields. Raises Unavailable."""
        engine = open_engine(url, create=True)
        try:
            await migrate(engine)
        except BaseException:
            await engine.dispose()
            raise
        return cls(engine, on_alarm)

    @property
    def backlog(self) -> int:
        """Rows that are not stored."""
        return len(self._backlog) + self._in_flight

    @property
    def lost(self) -> int:
        """Rows given up because the backlog was full."""
        return self._backlog.lost

    def started(self, call: CallRecord) -> asyncio.Future[bool]:
        """Put a call's first row; the future tells within PATIENCE_S whether it is stored.

        It never raises. False means: not yet, go on all the same.
        """
        if not self._put(Key("call", call.id), call) or self._failing:
            return self._resolved(False)
        return self._stored(PATIENCE_S)

    def put_call(self, call: CallRecord) -> None:
        """The whole call as it is now; the newest snapshot wins."""
        self._put(Key("call", call.id), call)

    def put_recording(self, recording: RecordingRow) -> None:
        self._put(Key("recording", recording.id), recording)

    def put_message(self, message: Message) -> None:
        """For a webhook; stored with the rows that were put before."""
        self._put(Key("message", message.key), message)

    def put_attempt(self, attempt: Attempt) -> None:
        self._put(Key("attempt", attempt.key), attempt)

    async def replay(self, wanted: Replay) -> int:
        """How many messages are to be posted once more."""
        await self._read_after_write()
        count = await self._reader.messages_since(wanted.webhook, wanted.since_ms)
        self._put(Key("replay", wanted.webhook), wanted)
        return count

    def prune(self, wanted: Prune) -> None:
        self._put(Key("prune", ""), wanted)

    async def due(self, webhook: str, now_ms: int, limit: int) -> list[Due]:
        """Messages whose time has come, the longest overdue first."""
        await self._read_after_write()
        return await self._reader.due(webhook, now_ms, limit)

    async def outlook(self, webhook: str) -> Outlook:
        await self._read_after_write()
        return await self._reader.outlook(webhook)

    async def deliveries(self, webhook: str, limit: int) -> list[Delivery]:
        """Newest first."""
        await self._read_after_write()
        return await self._reader.deliveries(webhook, limit)

    def beat(self, now_ms: int) -> None:
        """We live, and so do our calls: dates a crash for calls that leave no file."""
        self._put(Key("heartbeat", ""), now_ms)

    async def call(self, call_id: str) -> LoggedCall | None:
        await self._read_after_write()
        return await self._reader.call(call_id)

    async def call_of_recording(self, recording_id: str) -> LoggedCall | None:
        await self._read_after_write()
        return await self._reader.call_of_recording(recording_id)

    async def calls(self, query: CallFilter, *, limit: int, after: Cursor | None = None) -> Page:
        await self._read_after_write()
        return await self._reader.calls(query, limit=limit, after=after)

    async def interrupted(self) -> list[InterruptedCall]:
        """What the previous process left unfinished; to be asked before the first row of this one."""
        return await self._reader.interrupted()

    async def close(self) -> None:
        """Write what waits, for at most CLOSE_S, then let the database go. Idempotent."""
        self._closing = True
        self._wake.set()
        await asyncio.wait([self._task], timeout=CLOSE_S)
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        if self._wake_timer is not None:
            self._wake_timer.cancel()
        if self.backlog:
            self._alarm("calllog_closed_with_backlog", {"rows": self.backlog})
        self._resolve(self._take_waiters(), stored=False)
        with suppress(TimeoutError):  # a disk that hangs must not keep the process
            async with asyncio.timeout(DISPOSE_S):
                await self._engine.dispose()

    def _put(self, key: Key, row: Row) -> bool:
        kept = self._backlog.put(key, row)
        if not kept:
            self._alarm("calllog_row_lost", {"kind": key.kind, "id": key.id, "lost": self.lost})
        if self._wake_timer is None:
            self._wake_timer = self._loop.call_later(COALESCE_S, self._wake.set)
        return kept

    def _stored(self, patience_s: float) -> asyncio.Future[bool]:
        """Whether everything put up to now is on the disk, told within `patience_s`."""
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        self._wake.set()
        timer = self._loop.call_later(patience_s, self._give_up, waiter)
        waiter.add_done_callback(lambda _: timer.cancel())
        return waiter

    def _give_up(self, waiter: asyncio.Future[bool]) -> None:
        self.counters.late += 1
        self._alarm("calllog_late", {"backlog": self.backlog})
        self._resolve([waiter], stored=False)

    async def _read_after_write(self) -> None:
        if self.backlog and not self._failing:
            await self._stored(READ_AFTER_WRITE_S)

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._wake_timer is not None:
                self._wake_timer.cancel()
                self._wake_timer = None
            await self._write_all()
            if self._closing:
                return

    async def _write_all(self) -> None:
        attempt = 0
        while self._backlog or self._waiters:
            batch = self._backlog.take(BATCH_ROWS)
            # Who waits, waits for rows put before: the batch that empties the backlog has them all.
            waiters = [] if self._backlog else self._take_waiters()
            refused = self.counters.refused
            self._in_flight = len(batch)
            written = await self._write(batch)
            self._in_flight = 0
            if written:
                self._resolve(waiters, stored=self.counters.refused == refused)
                attempt = 0
                continue
            self._resolve(waiters + self._take_waiters(), stored=False)
            if self._closing:
                return
            await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    async def _write(self, batch: dict[Key, Row]) -> bool:
        """False when the database failed; the batch then waits again."""
        try:
            await write(self._engine, batch.values())
        except Exception as error:  # noqa: BLE001  the task's root: whatever it is, the rows must not be lost
            return await self._failed(batch, error)
        self.counters.written += len(batch)
        if self._failing:
            self._failing = False
            self._alarm("calllog_recovered", {"backlog": self.backlog})
        return True

    async def _failed(self, batch: dict[Key, Row], error: Exception) -> bool:
        if is_rows_fault(error):
            return await self._write_singly(batch, error)
        self._backlog.give_back(batch)
        self.counters.failures += 1
        if not self._failing:
            self._failing = True
            self._alarm("calllog_failing", {"reason": _reason(error), "backlog": self.backlog})
        return False

    async def _write_singly(self, batch: dict[Key, Row], error: Exception) -> bool:
        """One row cannot be stored: drop it alone, store the others."""
        if len(batch) > 1:
            results = [await self._write({key: row}) for key, row in batch.items()]
            return all(results)
        self.counters.refused += 1
        (key,) = batch
        self._alarm("calllog_row_refused", {"kind": key.kind, "id": key.id, "reason": _reason(error)})
        return True

    def _take_waiters(self) -> list[asyncio.Future[bool]]:
        waiters, self._waiters = self._waiters, []
        return waiters

    def _resolve(self, waiters: list[asyncio.Future[bool]], *, stored: bool) -> None:
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(stored)

    def _resolved(self, stored: bool) -> asyncio.Future[bool]:
        waiter = self._loop.create_future()
        waiter.set_result(stored)
        return waiter


def _reason(error: Exception) -> str:
    """The driver's words alone: SQLAlchemy's own text would quote the row, and peers wrote that."""
    return str(getattr(error, "orig", None) or type(error).__name__)
