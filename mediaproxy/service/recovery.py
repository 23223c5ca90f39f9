"""After a crash: what the spool and the storage still hold closes what the log left open."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import structlog

from mediaproxy.calllog import CallLog
from mediaproxy.calllog.rows import InterruptedCall, LoggedCall, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.record import left
from mediaproxy.ids import CallId
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.states import State
from mediaproxy.service import rows
from mediaproxy.storage import Outcome, Refused, Repaired, Storage, published

MS_PER_S = 1_000
SPOOL_MISSING = "spool_missing"
RECOVERY = Actor("recovery")

log = structlog.get_logger()


async def close_interrupted(
    call_log: CallLog, storage: Storage, repaired: Iterable[Repaired | Refused]
) -> None:
    """Give every row that a crash left live its end, and its recording a result."""
    by_call = _by_call(repaired)
    for interrupted in await call_log.interrupted():
        logged = interrupted.logged
        found = by_call.get(logged.call.id)
        row = logged.recording or _row_that_was_never_written(found)
        outcome = await asyncio.to_thread(_outcome, storage, logged, found)
        ended = _ended(interrupted, row, outcome)
        call_log.put_call(ended)
        if row is not None:
            call_log.put_recording(_finished(row, ended, outcome, storage))
        log.warning("call_interrupted", call=logged.call.id)


def _by_call(repaired: Iterable[Repaired | Refused]) -> dict[CallId, Repaired]:
    found: dict[CallId, Repaired] = {}
    for each in repaired:
        if isinstance(each, Repaired):
            found[each.header.call_id] = each
            log.warning("recording_recovered", call=each.header.call_id, result=each.outcome.result)
        else:
            log.error("recording_not_recovered", why=str(each))
    return found


def _outcome(storage: Storage, logged: LoggedCall, found: Repaired | None) -> Outcome | None:
    """As repaired, or as published before the crash came between file and row."""
    if found is not None:
        return found.outcome
    if logged.recording is None or logged.call.answered_at_ms is None:
        return None
    return published(storage, logged.recording.id, logged.call.answered_at_ms)


def _row_that_was_never_written(found: Repaired | None) -> RecordingRow | None:
    if found is None:
        return None
    header = found.header
    return rows.armed_row(header.recording_id, header.call_id, header.policy, header.sample_rate)


def _ended(interrupted: InterruptedCall, row: RecordingRow | None, outcome: Outcome | None) -> CallRecord:
    """The call as it must have ended: at its recording's end, else when the log last knew it to live."""
    record = interrupted.logged.call
    if record.state == "ended":
        return record
    ended_at_ms = interrupted.last_known_ms
    if row is not None and outcome is not None and record.answered_at_ms is not None:
        ended_at_ms = record.answered_at_ms + outcome.duration_samples * MS_PER_S // row.sample_rate
    return replace(
        record,
        state="ended",
        ended_at_ms=ended_at_ms,
        disposition="interrupted",
        ended_by="us",
        participants=left(record, ended_at_ms),
    )


def _finished(row: RecordingRow, call: CallRecord, outcome: Outcome | None, storage: Storage) -> RecordingRow:
    if outcome is not None:
        return rows.published_row(row, outcome, storage.root)
    if row.result is not None:
        return row
    ended = _cut(row, _duration_samples(call, row.sample_rate))
    if not ended.intervals:  # it never opened, so there was nothing to publish
        return replace(ended, result="none")
    return replace(ended, result="failed", reasons=(SPOOL_MISSING,))


def _duration_samples(call: CallRecord, rate: int) -> int:
    if call.answered_at_ms is None or call.ended_at_ms is None:
        return 0
    return max(call.ended_at_ms - call.answered_at_ms, 0) * rate // MS_PER_S


def _cut(row: RecordingRow, duration: int) -> RecordingRow:
    """As long as the call, no interval open or beyond its end."""
    intervals = []
    for one in row.intervals:
        end = duration if one.end_sample is None else min(one.end_sample, duration)
        if one.start_sample < end:
            intervals.append(replace(one, end_sample=end, ended_by=one.ended_by or RECOVERY))
    return replace(
        row,
        state=State.FINISHED.value,
        duration_samples=duration,
        recorded_samples=sum((one.end_sample or 0) - one.start_sample for one in intervals),
        intervals=tuple(intervals),
    )
