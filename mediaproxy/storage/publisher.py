"""The publishing thread: hashing and renaming, where it delays neither audio nor toggles."""

from collections.abc import Callable
from dataclasses import dataclass

from mediaproxy.recording.journal import Ended, Header
from mediaproxy.storage import disk
from mediaproxy.storage.outcome import FAILED, Outcome
from mediaproxy.storage.publish import discard, publish
from mediaproxy.storage.store import Storage


@dataclass(frozen=True, slots=True)
class Job:
    """A recording whose audio is written and, when `keep`, whose end is journalled."""

    header: Header
    ended: Ended
    keep: bool


class Publisher:
    """Owned by its thread: `perform` is the only entrance."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Outcome], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._storage = storage
        self._report = report
        self._on_crash = on_crash

    def perform(self, batch: list[Job]) -> None:
        for job in batch:
            self._report(self._publish(job))

    def _publish(self, job: Job) -> Outcome:
        header, ended = job.header, job.ended
        try:
            if job.keep:
                return publish(self._storage, header, ended)
            return discard(self._storage, header, ended.duration_samples)
        except OSError as error:
            return failure(header, ended, disk.reason_of(error))
        except Exception as error:  # noqa: BLE001 - a bug that one recording meets is that one's alone
            self._on_crash(error)
            return failure(header, ended, disk.STORAGE_ERROR)


def failure(header: Header, ended: Ended, reason: str) -> Outcome:
    """Not published: what there is stays in the spool for the next repair."""
    reasons = tuple(dict.fromkeys((*ended.reasons, reason)))
    return Outcome(header.recording_id, FAILED, reasons, ended.duration_samples, ended.intervals)
