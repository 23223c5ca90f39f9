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
TELLING_NS = 1_500 * NS_PER_MS

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Change:
    """Of one recording: it came to a standstill for `reason`, or goes on (None)."""

    recording: RecordingId
    reason: str | None


class Standstills:
    """`trouble` is the storage's of all, `trouble_of` that of one recording, each a fixed word or None.

    A disk that fails, fails for thousands at once; the loop that says so relays their calls too. So looking
    costs next to nothing each, and what changed is told a few at a time, all of it in `TELLING_NS`.
    """

    def __init__(self, trouble: Callable[[], str | None], trouble_of: Callable[[RecordingId], str | None]):
        self._trouble = trouble
        self._trouble_of = trouble_of
        self._told: dict[RecordingId, str] = {}
        self._untold: list[Change] = []
        self._logged: str | None = None
        self._look_ns = 0
        self._now_ns = 0
        self._told_by_ns = 0

    def changes(self, now_ns: int, opened: Callable[[], Iterable[RecordingId]]) -> list[Change]:
        """What is to be told now of the recordings whose gate is open, and of those that stood still; to be
        asked every few tens of milliseconds. Nearly always there is nothing to see."""
        elapsed_ns, self._now_ns = now_ns - self._now_ns, now_ns
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + LOOK_NS
            self._look(now_ns, opened)
        share = self._share(elapsed_ns, max(self._told_by_ns - now_ns, 0))
        changes, self._untold = self._untold[:share], self._untold[share:]
        for change in changes:
            if change.reason is None:
                self._told.pop(change.recording, None)
            else:
                self._told[change.recording] = change.reason
        return changes

    def _look(self, now_ns: int, opened: Callable[[], Iterable[RecordingId]]) -> None:
        """What was not told yet and is over by now is not told at all."""
        trouble = self._trouble()
        if trouble is not None and self._logged is None:
            log.error("storage_failing", reason=trouble)
        elif trouble is None and self._logged is not None:
            log.warning("storage_restored", after=self._logged)
        self._logged = trouble
        was_telling = bool(self._untold)
        self._untold = [Change(each, None) for each in self._told if self._trouble_of(each) is None]
        if trouble is not None:
            for recording in opened():
                if recording not in self._told and (reason := self._trouble_of(recording)) is not None:
                    self._untold.append(Change(recording, reason))
        if not was_telling:
            self._told_by_ns = now_ns + TELLING_NS

    def _share(self, elapsed_ns: int, left_ns: int) -> int:
        """As many as keep all of them in time, if this is asked for again after as long."""
        return -(-len(self._untold) * elapsed_ns // (left_ns + elapsed_ns)) if elapsed_ns > 0 else 0

    def shown(self, row: RecordingRow) -> RecordingRow:
        """As the API shows it: nobody is told that something is being recorded while it is not."""
        return failing(row, self._trouble_of(row.id))


def failing(row: RecordingRow, reason: str | None) -> RecordingRow:
    if reason is None or row.state != State.RECORDING.value:
        return row
    return replace(row, state=FAILING, reasons=(*row.reasons, reason))
