"""From what the recorder and the storage say to what the log holds."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mediaproxy.calllog.rows import AUDIO, IntervalRow, RecordingRow
from mediaproxy.calls.events import CallAnswered, CallRecord
from mediaproxy.calls.plane import LegId
from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording.manifest import Actor, Interval, Participant
from mediaproxy.recording.recorder import Finished, Status
from mediaproxy.recording.states import State
from mediaproxy.storage import Outcome

MS_PER_S = 1_000


def armed_row(recording: RecordingId, call: CallId, policy: str, sample_rate: int) -> RecordingRow:
    return RecordingRow(recording, call, State.INACTIVE.value, policy, sample_rate)


def live_row(row: RecordingRow, status: Status, *, ended: bool) -> RecordingRow:
    """`row` as of a moment; an interval that is still open stands last."""
    intervals = tuple(interval_row(interval) for interval in status.intervals)
    if status.open_since is not None:
        start, by, kind = status.open_since
        intervals += (IntervalRow(start, None, by, None, kind),)
    return replace(
        row,
        state=(State.FINISHED if ended else status.state).value,
        duration_samples=status.duration_samples,
        recorded_samples=status.recorded_samples,
        intervals=intervals,
    )


def unopened(row: RecordingRow, closed_as: State) -> RecordingRow:
    """`row` without its opening, which is not in the journal yet and so may never have been."""
    intervals = tuple(each for each in row.intervals if each.end_sample is not None)
    return replace(row, state=closed_as.value, intervals=intervals, recorded_samples=_recorded(intervals))


def as_of(row: RecordingRow, position: int) -> RecordingRow:
    """`row` when the call clock stands at `position`, and nothing has changed but the time."""
    if row.state == State.FINISHED.value:
        return row
    last = row.intervals[-1] if row.intervals else None
    open_since = position if last is None or last.end_sample is not None else last.start_sample
    audio = last is not None and last.kind == AUDIO
    recorded = _recorded(row.intervals) + (max(position - open_since, 0) if audio else 0)
    return replace(row, duration_samples=position, recorded_samples=recorded)


def cut(row: RecordingRow, duration: int, by: Actor) -> RecordingRow:
    """The call is over: the recording is as long, and no interval is open or beyond the end."""
    intervals = []
    for one in row.intervals:
        end = duration if one.end_sample is None else min(one.end_sample, duration)
        if one.start_sample < end:
            intervals.append(replace(one, end_sample=end, ended_by=one.ended_by or by))
    return replace(
        row,
        state=State.FINISHED.value,
        duration_samples=duration,
        recorded_samples=_recorded(intervals),
        intervals=tuple(intervals),
    )


def finished_row(row: RecordingRow, finished: Finished) -> RecordingRow:
    """The call is over; the file is not yet to be had."""
    return replace(
        row,
        state=State.FINISHED.value,
        duration_samples=finished.duration_samples,
        recorded_samples=sum(
            each.end_sample - each.start_sample for each in finished.intervals if each.kind == AUDIO
        ),
        intervals=tuple(interval_row(interval) for interval in finished.intervals),
    )


def published_row(row: RecordingRow, outcome: Outcome, root: Path) -> RecordingRow:
    """The last word. Paths are kept below `root`, the storage directory."""
    audio = None if outcome.audio is None else outcome.audio.relative_to(root)
    return replace(
        row,
        state=State.FINISHED.value,
        duration_samples=outcome.duration_samples,
        recorded_samples=outcome.recorded_samples,
        intervals=tuple(interval_row(interval) for interval in outcome.intervals),
        result=outcome.result,
        reasons=outcome.reasons,
        file=None if audio is None else str(audio),
        manifest=None if audio is None else str(audio.with_suffix(".json")),
        sha256=outcome.sha256,
    )


def deleted_row(row: RecordingRow, deleted_at_ms: int) -> RecordingRow:
    """The call and what was recorded of it stay in the log; only the file is gone."""
    return replace(row, file=None, manifest=None, sha256=None, deleted_at_ms=deleted_at_ms)


def interval_row(interval: Interval) -> IntervalRow:
    return IntervalRow(
        interval.start_sample, interval.end_sample, interval.started_by, interval.ended_by, interval.kind
    )


def participants(answered: CallAnswered, call: CallRecord, rate: int) -> tuple[Participant, ...]:
    """Who is, or was, on which channel of the file (1 = carrier's leg), on the call clock."""
    return tuple(
        Participant(
            leg=each.leg.name,
            channel=1 if each.leg is answered.carrier_leg else 2,
            kind=each.kind,
            name=each.name,
            number=each.number,
            from_sample=each.from_ms * rate // MS_PER_S,
            to_sample=None if each.to_ms is None else each.to_ms * rate // MS_PER_S,
        )
        for each in call.participants
    )


def channels(answered: CallAnswered) -> tuple[int, int]:
    """The channel index of each leg, by leg."""
    return (0, 1) if answered.carrier_leg is LegId.A else (1, 0)


def _recorded(intervals: Iterable[IntervalRow]) -> int:
    """Samples of audio in closed intervals."""
    return sum(
        each.end_sample - each.start_sample
        for each in intervals
        if each.end_sample is not None and each.kind == AUDIO
    )
