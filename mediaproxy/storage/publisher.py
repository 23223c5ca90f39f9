"""The publishing thread: hashing and renaming, where it delays neither audio nor toggles.

A disk that refuses has the publication postponed: every step of publishing may be done again. What is encoded
first has threads of its own: a long call's FLAC holds up nobody else's recording.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mediaproxy.recording.journal import Ended, Header
from mediaproxy.storage import disk
from mediaproxy.storage.crew import Crew
from mediaproxy.storage.outcome import FAILED, Outcome
from mediaproxy.storage.publish import discard, publish
from mediaproxy.storage.store import Storage

ENCODED_AT_ONCE: Final = 8  # of which most wait for an encoder


@dataclass(frozen=True, slots=True)
class Publication:
    """A recording whose audio is written and, when `keep`, whose end is journalled."""

    header: Header
    ended: Ended
    keep: bool


@dataclass(frozen=True, slots=True)
class Postponed:
    """The disk did not take it now, for the reason of that fixed word."""

    publication: Publication
    reason: str


class Publisher:
    """`perform` is the only entrance, for any thread. Each publication is answered once, by `report` or by
    `postpone` (to be submitted again, when the disk may have come back); both are called on threads of ours
    too."""

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
        self._encoded: Crew[tuple[Publication, float]] = Crew(
            "master", self._perform_encoded, ENCODED_AT_ONCE
        )

    def perform(self, batch: list[Publication]) -> None:
        for publication in batch:
            if publication.keep and publication.header.format != "wav":
                self._encoded.submit((publication, time.monotonic()))
            else:
                self._settle(self._publish(publication))

    def _perform_encoded(self, submitted: tuple[Publication, float]) -> None:
        publication, since = submitted
        self._settle(self._publish(publication, time.monotonic() - since))

    def _settle(self, done: Outcome | Postponed) -> None:
        if isinstance(done, Postponed):
            self._postpone(done)
        else:
            self._report(done)

    def _publish(self, publication: Publication, waited_s: float = 0.0) -> Outcome | Postponed:
        header, ended = publication.header, publication.ended
        try:
            if publication.keep:
                return publish(self._storage, header, ended, waited_s=waited_s)
            return discard(self._storage, header, ended.duration_samples)
        except OSError as error:
            reason = disk.reason_of(error)
            final = isinstance(error, FileExistsError) or self._is_gone(header)
            return failure(header, ended, reason) if final else Postponed(publication, reason)
        except Exception as error:  # noqa: BLE001 - a bug that one recording meets is that one's alone
            self._on_crash(error)
            return failure(header, ended, disk.STORAGE_ERROR)

    def _is_gone(self, header: Header) -> bool:
        """Somebody removed what is to be published. A disk that is away has no such folder either, and one
        that cannot say what there is has lost nothing yet."""
        storage, recording = self._storage, header.recording_id
        try:
            if not storage.live.is_dir() or storage.live_audio(recording).exists():
                return False
            return storage.published_audio(recording, header.answered_at_ms) is None
        except OSError:
            return False


def failure(header: Header, ended: Ended, reason: str) -> Outcome:
    """Not published: what there is stays in the spool for the next repair."""
    reasons = tuple(dict.fromkeys((*ended.reasons, reason)))
    return Outcome(header.recording_id, FAILED, reasons, ended.duration_samples, ended.intervals)
