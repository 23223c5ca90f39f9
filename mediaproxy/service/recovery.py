"""After a crash: what log and spool were left with is closed, beside the calls that come meanwhile.

Before the first listener is bound every call that the log left live is over, as far as the log knows,
and the recordings still await their file, as after any call. Then one thread repairs the spool, and
each recording's row says how it came out as soon as it has; what the disk refuses is tried again. New
recordings have names of their own, so nothing of theirs can meet what is repaired; the storage stays
locked to this process throughout.
"""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress

import structlog

from mediaproxy.calllog import CallLog
from mediaproxy.calllog.rows import InterruptedCall, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.ids import CallId
from mediaproxy.observe import Metrics
from mediaproxy.recording.journal import Header
from mediaproxy.service import rows
from mediaproxy.service.events import EventStream
from mediaproxy.service.interrupted import ended, finished, provisional, refused
from mediaproxy.storage import Outcome, Refused, Repaired, Storage, published, repair_one

STOP_WAIT_S = 5.0
RETRY_S = 2.0  # until what a failing disk refused is tried again
RECOVERED_EVENT, FAILED_EVENT = "recording.completed", "recording.failed"
FAILED = "failed"

log = structlog.get_logger()

Result = Repaired | Refused | None


class Recovery:
    """`close_rows`, then `start`; `close` stops between two recordings and leaves the rest to the next start.

    `names` are what was `pending` in the spool when nothing of this process was in it yet.
    """

    def __init__(
        self,
        *,
        call_log: CallLog,
        storage: Storage,
        names: Sequence[str],
        metrics: Metrics,
        events: EventStream,
    ) -> None:
        self._log = call_log
        self._storage = storage
        self._names = names
        self._metrics = metrics
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._results: asyncio.Queue[tuple[str, Result]] = asyncio.Queue()
        self._interrupted: dict[CallId, InterruptedCall] = {}
        self._last_known_ms: dict[CallId, int] = {}
        self._stopping = threading.Event()
        self._put_off: set[str] = set()
        # A hung disk must not keep the process from ending.
        self._thread = threading.Thread(target=self._repair_all, name="repair", daemon=True)
        self._task: asyncio.Task[None] | None = None
        self.pending = len(names)
        self.refused: list[Refused] = []
        metrics.watch("recovery_pending", "Recordings that still wait for repair", lambda: self.pending)
        metrics.watch("recovery_refused", "Recordings that could not be repaired", lambda: len(self.refused))

    async def close_rows(self) -> None:
        """No call of another process is live in the log after this. Before the first row of this one."""
        for interrupted in await self._log.interrupted():
            call, row = interrupted.logged.call, interrupted.logged.recording
            self._interrupted[call.id] = interrupted
            self._last_known_ms[call.id] = interrupted.last_known_ms
            closed = ended(interrupted, None, None)
            self._log.put_call(closed)
            if row is not None and row.result is None:
                self._log.put_recording(provisional(row, closed))
            log.warning("call_interrupted", call=call.id)

    def start(self) -> None:
        self._thread.start()
        self._task = self._loop.create_task(self._settle_all())

    async def close(self) -> None:
        """Idempotent."""
        self._stopping.set()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            await asyncio.to_thread(self._thread.join, STOP_WAIT_S)
            if self._thread.is_alive():
                self._storage.keep()

    async def done(self) -> None:
        """Everything that could be repaired is."""
        if self._task is not None:
            await self._task

    def _repair_all(self) -> None:
        names = list(self._names)
        while names and not self._stopping.is_set():
            names = [name for name in names if not self._done_with(name)]
            if names:
                self._stopping.wait(RETRY_S)

    def _done_with(self, name: str) -> bool:
        """Whether its result is the last word; while the disk refuses, or when we stop, there is none."""
        if self._stopping.is_set():
            return False
        result = self._repair(name)
        if isinstance(result, Refused) and result.may_pass:
            if name not in self._put_off:
                self._put_off.add(name)
                log.warning("repair_put_off", recording=name, why=result.reason)
            return False
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._results.put_nowait, (name, result))
        return True

    def _repair(self, name: str) -> Result:
        try:
            return repair_one(self._storage, name, self._last_known_ms.get)
        except Exception:  # the supervisor of one recording: the others are repaired all the same
            log.exception("repair_failed", recording=name)
            return Refused(name, "something unforeseen happened; the log of the proxy says what")

    async def _settle_all(self) -> None:
        for _ in self._names:
            name, result = await self._results.get()
            try:
                await self._settle(result)
            except Exception:  # a task root: the rows of the others become right
                log.exception("recovery_failed", recording=name)
            self.pending -= 1
        for interrupted in list(self._interrupted.values()):
            await self._settle_unnamed(interrupted)

    async def _settle(self, result: Result) -> None:
        if isinstance(result, Refused):
            self._metrics.alarm("recording_not_recovered")
            log.error("recording_not_recovered", recording=result.recording_id, why=result.reason)
            self.refused.append(result)
            self._refuse(result)
        elif result is not None:
            log.warning(
                "recording_recovered", recording=result.outcome.recording_id, result=result.outcome.result
            )
            interrupted = self._interrupted.pop(result.header.call_id, None)
            await self._recover(interrupted or await self._looked_up(result.header), result)

    async def _looked_up(self, header: Header) -> InterruptedCall | None:
        """The call was closed before; its recording was given up then, or never had a row."""
        logged = await self._log.call(header.call_id)
        if logged is None:
            log.error("recovered_call_unknown", call=header.call_id, recording=header.recording_id)
            return None
        return InterruptedCall(logged, logged.call.ended_at_ms or 0)

    async def _recover(self, interrupted: InterruptedCall | None, result: Repaired) -> None:
        if interrupted is None:
            return
        header = result.header
        row = interrupted.logged.recording or rows.armed_row(
            header.recording_id, header.call_id, header.policy, header.sample_rate
        )
        call = ended(interrupted, row, result.outcome)
        self._put(call, finished(row, call, result.outcome, self._storage))

    def _refuse(self, result: Refused) -> None:
        for interrupted in list(self._interrupted.values()):
            row = interrupted.logged.recording
            if row is not None and row.id == result.recording_id:
                del self._interrupted[row.call]
                call = ended(interrupted, None, None)
                self._put(call, refused(row, call))

    async def _settle_unnamed(self, interrupted: InterruptedCall) -> None:
        """Nothing of it was in the spool: it was published, or never begun, or somebody took it."""
        row = interrupted.logged.recording
        if row is None:
            return
        outcome = await asyncio.to_thread(_published, self._storage, interrupted.logged)
        call = ended(interrupted, row, outcome)
        self._put(call, finished(row, call, outcome, self._storage))

    def _put(self, call: CallRecord, row: RecordingRow) -> None:
        self._log.put_call(call)
        self._log.put_recording(row)
        self._metrics.recording_finished(row.result or FAILED)
        name = FAILED_EVENT if row.result == FAILED else RECOVERED_EVENT
        logged = LoggedCall(call, row)
        self._events.publish(
            name, call.id, row.id, logged=logged, result=row.result, reasons=list(row.reasons)
        )


def _published(storage: Storage, logged: LoggedCall) -> Outcome | None:
    """The crash came between file and row."""
    if logged.recording is None or logged.call.answered_at_ms is None:
        return None
    return published(storage, logged.recording.id, logged.call.answered_at_ms)
