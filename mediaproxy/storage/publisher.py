"""The publishing thread: hashing and renaming, where it delays neither audio nor toggles.

A disk that refuses has the job postponed: every step of publishing may be done again.
"""

import os
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


@dataclass(frozen=True, slots=True)
class Postponed:
    """The disk did not take it now, for the reason of that fixed word."""

    job: Job
    reason: str


class Publisher:
    """Owned by its thread: `perform` is the only entrance. Each job is answered once, by `report` or by
    `postpone` (to be submitted again, when the disk may have come back)."""

    def __init__(
        self,
        storage: Storage,
        report: Callable[[Outcome], None],
        postpone: Callable[[Postponed], None],
        on_crash: Callable[[Exception], None],
    ) -> None:
        self._storage = storage
        self._report = report
        self._postpone = postpone
        self._on_crash = on_crash

    def perform(self, batch: list[Job]) -> None:
        for job in batch:
            done = self._publish(job)
            if isinstance(done, Postponed):
                self._postpone(done)
            else:
                self._report(done)

    def _publish(self, job: Job) -> Outcome | Postponed:
        header, ended = job.header, job.ended
        try:
            if job.keep:
                return publish(self._storage, header, ended)
            return discard(self._storage, header, ended.duration_samples)
        except OSError as error:
            reason = disk.reason_of(error)
            final = isinstance(error, FileExistsError) or self._is_gone(header)
            return failure(header, ended, reason) if final else Postponed(job, reason)
        except Exception as error:  # noqa: BLE001 - a bug that one recording meets is that one's alone
            self._on_crash(error)
            return failure(header, ended, disk.STORAGE_ERROR)

    def _is_gone(self, header: Header) -> bool:
        """Somebody removed what is to be published; a disk that is away has no such folder either."""
        storage, recording = self._storage, header.recording_id
        if not os.path.isdir(storage.live):
            return False
        places = (storage.live_audio(recording), storage.audio(recording, header.answered_at_ms))
        return not any(map(os.path.lexists, places))


def failure(header: Header, ended: Ended, reason: str) -> Outcome:
    """Not published: what there is stays in the spool for the next repair."""
    reasons = tuple(dict.fromkeys((*ended.reasons, reason)))
    return Outcome(header.recording_id, FAILED, reasons, ended.duration_samples, ended.intervals)
