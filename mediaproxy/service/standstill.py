"""Which live recordings cannot reach the disk: shown as failing, told once, and told again when they can."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import structlog

from mediaproxy.calllog.rows import RecordingRow
from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import RecordingId
from mediaproxy.recording.states import State

FAILING = "failing"  # what the API calls an open gate whose audio waits
LOOK_NS = 250 * NS_PER_MS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """Of one recording: it came to a standstill for `reason`, or goes on (None)."""

    recording: RecordingId
    reason: str | None


class Standstills:
    """`trouble` is the storage's of all, `trouble_of` that of one recording, each a fixed word or None."""

    def __init__(self, trouble: Callable[[], str | None], trouble_of: Callable[[RecordingId], str | None]):
        self._trouble = trouble
        self._trouble_of = trouble_of
        self._standing: dict[RecordingId, str] = {}
        self._told: str | None = None
        self._look_ns = 0

    def due(self, now_ns: int) -> bool:
        """Whether to look again; nearly always there is nothing to see. Says in the log what changed."""
        if now_ns < self._look_ns:
            return False
        self._look_ns = now_ns + LOOK_NS
        trouble = self._trouble()
        if trouble is not None and self._told is None:
            log.error("storage_failing", reason=trouble)
        elif trouble is None and self._told is not None:
            log.warning("storage_restored", after=self._told)
        self._told = trouble
        return trouble is not None or bool(self._standing)

    def changes(self, opened: Iterable[RecordingId]) -> list[Change]:
        """Among the recordings whose gate is open, and those that stood still."""
        found = []
        for recording in opened:
            reason = self._trouble_of(recording)
            if reason is not None and recording not in self._standing:
                self._standing[recording] = reason
                found.append(Change(recording, reason))
        for recording in [each for each in self._standing if self._trouble_of(each) is None]:
            del self._standing[recording]
            found.append(Change(recording, None))
        return found

    def shown(self, row: RecordingRow) -> RecordingRow:
        """As the API shows it: nobody is told that something is being recorded while it is not."""
        if row.state != State.RECORDING.value:
            return row
        reason = self._trouble_of(row.id)
        return row if reason is None else replace(row, state=FAILING, reasons=(*row.reasons, reason))
