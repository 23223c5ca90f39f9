"""What the log says of a call that a crash cut off, before and after its recording is repaired."""

from dataclasses import replace

from mediaproxy.calllog.rows import InterruptedCall, RecordingRow
from mediaproxy.calls.events import CallRecord
from mediaproxy.calls.record import left
from mediaproxy.recording.manifest import Actor
from mediaproxy.service import rows
from mediaproxy.storage import Outcome, Storage

MS_PER_S = 1_000
DISPOSITION = "interrupted"
SPOOL_MISSING = "spool_missing"
NOT_RECOVERED = "not_recovered"  # the spool holds it, and repair refuses it
RECOVERY = Actor("recovery")


def ended(interrupted: InterruptedCall, row: RecordingRow | None, outcome: Outcome | None) -> CallRecord:
    """The call as it must have ended: at its recording's end, else when the log last knew it to live."""
    record = interrupted.logged.call
    if record.state == "ended":
        if record.disposition != DISPOSITION or outcome is None:
            return record
        record = _reopened(record)
    ended_at_ms = interrupted.last_known_ms
    if row is not None and outcome is not None and record.answered_at_ms is not None:
        ended_at_ms = record.answered_at_ms + outcome.duration_samples * MS_PER_S // row.sample_rate
    return replace(
        record,
        state="ended",
        ended_at_ms=ended_at_ms,
        disposition=DISPOSITION,
        ended_by="us",
        participants=left(record, ended_at_ms),
    )


def provisional(row: RecordingRow, call: CallRecord) -> RecordingRow:
    """The call is over, its file is not yet to be had."""
    return rows.cut(row, _duration_samples(call, row.sample_rate), RECOVERY)


def finished(row: RecordingRow, call: CallRecord, outcome: Outcome | None, storage: Storage) -> RecordingRow:
    """The last word; without an outcome the spool held nothing of it."""
    if outcome is not None:
        return rows.published_row(row, outcome, storage.root)
    if row.result is not None:
        return row
    closed = provisional(row, call)
    if not closed.intervals:  # it never opened, so there was nothing to publish
        return replace(closed, result="none")
    return replace(closed, result="failed", reasons=(SPOOL_MISSING,))


def refused(row: RecordingRow, call: CallRecord) -> RecordingRow:
    """What the spool holds of it is left there, and nobody may hear it."""
    return replace(provisional(row, call), result="failed", reasons=(NOT_RECOVERED,))


def _reopened(record: CallRecord) -> CallRecord:
    """Before an earlier start of ours closed it; whoever was on the call then left with its end."""
    if record.answered_at_ms is None or record.ended_at_ms is None:
        return record
    end_ms = record.ended_at_ms - record.answered_at_ms
    who = tuple(replace(one, to_ms=None) if one.to_ms == end_ms else one for one in record.participants)
    return replace(record, participants=who)


def _duration_samples(call: CallRecord, rate: int) -> int:
    if call.answered_at_ms is None or call.ended_at_ms is None:
        return 0
    return max(call.ended_at_ms - call.answered_at_ms, 0) * rate // MS_PER_S
