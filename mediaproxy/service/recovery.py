"""After a crash: what the spool still holds closes what the log left open."""

from collections.abc import Iterable
from dataclasses import replace

import structlog

from mediaproxy.calllog import CallLog
from mediaproxy.calllog.rows import InterruptedCall, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.service import rows
from mediaproxy.storage import Refused, Repaired, Storage

MS_PER_S = 1_000
SPOOL_MISSING = "spool_missing"

log = structlog.get_logger()


async def close_interrupted(
    call_log: CallLog, storage: Storage, repaired: Iterable[Repaired | Refused]
) -> None:
    """Give every row that a crash left live its end, and its recording a result."""
    by_call: dict[str, Repaired] = {}
    for each in repaired:
        if isinstance(each, Repaired):
            by_call[each.header.call_id] = each
            log.warning("recording_recovered", call=each.header.call_id, result=each.outcome.result)
        else:
            log.error("recording_not_recovered", why=str(each))
    for interrupted in await call_log.interrupted():
        logged = interrupted.logged
        found = by_call.get(logged.call.id)
        call_log.put_call(_ended(interrupted, found))
        if logged.recording is not None:
            call_log.put_recording(_published(logged.recording, storage, found))
        log.warning("call_interrupted", call=logged.call.id)


def _ended(interrupted: InterruptedCall, found: Repaired | None) -> CallRecord:
    """The call as it must have ended: at the file's end, else when the log last knew it to live."""
    record = interrupted.logged.call
    if record.state == "ended":
        return record
    ended_at_ms = interrupted.last_known_ms
    if found is not None:
        outcome = found.outcome
        duration_ms = outcome.duration_samples * MS_PER_S // found.header.sample_rate
        ended_at_ms = found.header.answered_at_ms + duration_ms
    return replace(record, state="ended", ended_at_ms=ended_at_ms, disposition="interrupted", ended_by="us")


def _published(row: RecordingRow, storage: Storage, found: Repaired | None) -> RecordingRow:
    if found is not None:
        return rows.published_row(row, found.outcome, storage.root)
    if row.result is not None:
        return row
    return replace(row, state="finished", result="failed", reasons=(SPOOL_MISSING,))
