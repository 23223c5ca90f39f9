"""After a crash: what log and spool were left with is closed, beside the calls that come meanwhile.

Before the first listener is bound every call that the log left live is over, as far as the log knows,
and the recordings still await their file, as after any call. Then one thread repairs the spool, and
each recording's row says how it came out as soon as it has; what the disk refuses is tried again. New
recordings have names of their own, so nothing of theirs can meet what is repaired; the storage stays
locked to this process throughout. A media worker that died leaves less, and it is repaired in the same way.
"""

from collections.abc import Sequence

import structlog

from mediaproxy.calllog.log import CallLog
from mediaproxy.calllog.rows import InterruptedCall, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.observe import Metrics
from mediaproxy.recording.journal import Header
from mediaproxy.service import rows
from mediaproxy.service.events import EventStream
from mediaproxy.service.interrupted import ended, finished, provisional, refused
from mediaproxy.service.mirror import Lost
from mediaproxy.service.repairs import Leavings, Repairs, Result
from mediaproxy.storage import Refused, Repaired, Storage

RECOVERED_EVENT, FAILED_EVENT = "recording.completed", "recording.failed"
FAILED = "failed"

log = structlog.get_logger()


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
        self._metrics = metrics
        self._events = events
        self._left = Leavings(names)
        self._repairs = Repairs(storage, self._settle, self._settle_unnamed)
        self.refused: list[Refused] = []
        metrics.watch("recovery_pending", "Recordings that still wait for repair", lambda: self.pending)
        metrics.watch("recovery_refused", "Recordings that could not be repaired", lambda: len(self.refused))

    @property
    def pending(self) -> int:
        return self._repairs.pending

    async def close_rows(self) -> None:
        """No call of another process is live in the log after this. Before the first row of this one."""
        for interrupted in await self._log.interrupted():
            self._left.interrupted[interrupted.logged.call.id] = interrupted
            self._close_row(interrupted)

    def start(self) -> None:
        self._repairs.start(self._left)

    def repair(self, lost: Sequence[Lost]) -> None:
        """What a media worker left of calls that have ended: nothing of it is at them any more."""
        left = Leavings([each.recording for each in lost])
        for each in lost:
            call = each.logged.call
            interrupted = InterruptedCall(each.logged, call.ended_at_ms or call.started_at_ms)
            left.interrupted[call.id] = interrupted
            self._close_row(interrupted)
        self._repairs.start(left)

    async def close(self) -> None:
        """Idempotent."""
        await self._repairs.close()

    async def done(self) -> None:
        """Everything that could be repaired is."""
        await self._repairs.done()

    def _close_row(self, interrupted: InterruptedCall) -> None:
        call, row = interrupted.logged.call, interrupted.logged.recording
        closed = ended(interrupted, None, None)
        self._log.put_call(closed)
        if row is not None and row.result is None:
            self._log.put_recording(provisional(row, closed))
        log.warning("call_interrupted", call=call.id)

    async def _settle(self, left: Leavings, result: Result) -> None:
        if isinstance(result, Refused):
            self._metrics.alarm("recording_not_recovered")
            log.error("recording_not_recovered", recording=result.recording_id, why=result.reason)
            self.refused.append(result)
            self._refuse(left, result)
        elif result is not None:
            log.warning(
                "recording_recovered", recording=result.outcome.recording_id, result=result.outcome.result
            )
            interrupted = left.interrupted.pop(result.header.call_id, None)
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

    def _refuse(self, left: Leavings, result: Refused) -> None:
        for interrupted in list(left.interrupted.values()):
            row = interrupted.logged.recording
            if row is not None and row.id == result.recording_id:
                del left.interrupted[row.call]
                call = ended(interrupted, None, None)
                self._put(call, refused(row, call))

    async def _settle_unnamed(self, left: Leavings) -> None:
        """Nothing of these was in the spool: published, or never begun, or somebody took them."""
        for interrupted in list(left.interrupted.values()):
            row = interrupted.logged.recording
            if row is None:
                continue
            outcome = await self._repairs.published(interrupted.logged)
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
