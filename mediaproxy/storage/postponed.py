"""Recordings that could not be published: tried again when the disk is well, each less and less often."""

from dataclasses import dataclass

from mediaproxy.ids import RecordingId
from mediaproxy.storage.publisher import Publication

FIRST_PATIENCE_S = 0.5
MOST_PATIENCE_S = 30.0


@dataclass(slots=True)
class _Waiting:
    publication: Publication
    reason: str
    patience_s: float
    due: float


class PostponedPublications:
    """`now` is seconds of one clock."""

    def __init__(self) -> None:
        self._waiting: dict[RecordingId, _Waiting] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def reason(self) -> str | None:
        return next((each.reason for each in self._waiting.values()), None)

    def add(self, publication: Publication, reason: str, now: float) -> None:
        """It failed, for the first time or again."""
        recording = publication.header.recording_id
        before = self._waiting.get(recording)
        patience_s = FIRST_PATIENCE_S if before is None else min(before.patience_s * 2, MOST_PATIENCE_S)
        self._waiting[recording] = _Waiting(publication, reason, patience_s, now + patience_s)

    def due(self, now: float) -> list[Publication]:
        """Those to be tried now; they are not due again before they failed again."""
        found = [each for each in self._waiting.values() if each.due <= now]
        for each in found:
            each.due = float("inf")
        return [each.publication for each in found]

    def forget(self, recording: RecordingId) -> None:
        self._waiting.pop(recording, None)
