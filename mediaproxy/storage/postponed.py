"""Recordings that could not be published: tried again when the disk is well, each less and less often."""

from dataclasses import dataclass

from mediaproxy.ids import RecordingId
from mediaproxy.storage.publisher import Job

FIRST_PATIENCE_S = 0.5
MOST_PATIENCE_S = 30.0


@dataclass(slots=True)
class _Waiting:
    job: Job
    reason: str
    patience_s: float
    due: float


class PostponedJobs:
    """`now` is seconds of one clock."""

    def __init__(self) -> None:
        self._waiting: dict[RecordingId, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def reason(self) -> str | None:
        return next((each.reason for each in self._waiting.values()), None)

    def add(self, job: Job, reason: str, now: float) -> None:
        """It failed, for the first time or again."""
        before = self._waiting.get(job.header.recording_id)
        patience_s = FIRST_PATIENCE_S if before is None else min(before.patience_s * 2, MOST_PATIENCE_S)
        self._waiting[job.header.recording_id] = _Waiting(job, reason, patience_s, now + patience_s)

    def due(self, now: float) -> list[Job]:
        """Those to be tried now; they are not due again before they failed again."""
        found = [each for each in self._waiting.values() if each.due <= now]
        for each in found:
            each.due = float("inf")
        return [each.job for each in found]

    def forget(self, recording: RecordingId) -> None:
        self._waiting.pop(recording, None)
