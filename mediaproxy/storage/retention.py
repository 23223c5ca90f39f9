"""What has been kept for as long as it was to be, and its removal, of which the chain tells."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Final

from mediaproxy.clock import unix_ms
from mediaproxy.errors import Malformed
from mediaproxy.ids import RecordingId
from mediaproxy.recording import manifest
from mediaproxy.recording.chain import EXPIRED, Entry
from mediaproxy.recording.keeping import MS_PER_DAY, Limits
from mediaproxy.recording.manifest import Actor, Manifest
from mediaproxy.storage import disk, keys
from mediaproxy.storage.redact import Unchanged, remove
from mediaproxy.storage.store import MASTER_FORMATS, Storage, is_id

RETENTION: Final = Actor("policy")
BATCH: Final = 256  # for each the chain is read once

NO_MANIFEST: Final = "its manifest is missing, so nothing says how long it is to be kept"
NOT_READ: Final = "its manifest cannot be read, so nothing says how long it is to be kept"
NOT_SIGNED: Final = "its manifest is not as we signed it, so nothing says how long it is to be kept"

Passing = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Due:
    """A recording whose time is over. `kept_days` is what applied, `asked_days` what its call had asked for
    (0 = for ever), `audio_bytes` what its master takes."""

    recording: RecordingId
    document: Path
    answered_at: str
    asked_days: int
    kept_days: int
    audio_bytes: int

    @property
    def why(self) -> str:
        if self.asked_days == self.kept_days:
            return f"kept {self.kept_days} days"
        asked = f"{self.asked_days} days" if self.asked_days else "for ever"
        return f"kept {self.kept_days} days by the storage's limits, not {asked}"


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Something that may be a recording, and why nobody removes it."""

    path: Path
    why: str


def due(
    root: Path, limits: Limits, now_ms: int, passing: Passing = lambda: None
) -> Iterator[Due | LeftAlone]:
    """All that may go now, the oldest first, and what nothing can be said of. `passing` is called at every
    manifest: who must not hold up others rests there."""
    last = _last_day(limits, now_ms)
    for day in _days(root):
        if day[0] > last:
            return
        for stem in sorted(_recordings(day[1])):
            passing()
            found = _judged(day[1] / f"{stem}.json", limits, now_ms)
            if found is not None:
                yield found


def expire(storage: Storage, found: Iterable[Due | LeftAlone]) -> Iterator[Due | LeftAlone]:
    """Remove each that is due, and say so in the chain: then it is told as `Due`, else as left alone."""
    remaining = iter(found)
    while batch := list(islice(remaining, BATCH)):
        due: set[str] = {each.recording for each in batch if isinstance(each, Due)}
        known = storage.chain.lasts(due) if due else {}
        for each in batch:
            yield _expired(storage, each, known.get(each.recording)) if isinstance(each, Due) else each


def _expired(storage: Storage, due: Due, known: Entry | None) -> Due | LeftAlone:
    try:
        remove(storage, due.recording, by=RETENTION, reason=due.why, kind=EXPIRED, known=known)
    except Unchanged as unchanged:
        return LeftAlone(due.document, str(unchanged))
    except OSError as error:  # the next run goes on with it
        return LeftAlone(due.document, error.strerror or "the disk refused")
    _remove_empty(due.document.parent, storage.root)
    return due


def _judged(document: Path, limits: Limits, now_ms: int) -> Due | LeftAlone | None:
    try:
        content = disk.read_at_most(document, manifest.MAX_BYTES)
        claims = manifest.decode(content)
        answered_at_ms = unix_ms(claims.answered_at)
    except FileNotFoundError:
        return LeftAlone(document.with_suffix(""), NO_MANIFEST)
    except (OSError, Malformed, ValueError):
        return LeftAlone(document, NOT_READ)
    expires_at_ms = limits.expires_at_ms(answered_at_ms, claims.keep_days)
    if expires_at_ms is None or now_ms < expires_at_ms:
        return None
    key = keys.beside(document).get(claims.key_id or "")
    if key is None or not manifest.signature_holds(content, key):
        return LeftAlone(document, NOT_SIGNED)
    return _due(document, claims, limits)


def _due(document: Path, claims: Manifest, limits: Limits) -> Due:
    size = 0
    with suppress(OSError):
        size = document.with_name(claims.master.file).stat().st_size
    kept_days = limits.kept_days(claims.keep_days)
    return Due(RecordingId(document.stem), document, claims.answered_at, claims.keep_days, kept_days, size)


def _last_day(limits: Limits, now_ms: int) -> date:
    """Of which one may be due: nothing is kept for less than a day, nor than the storage's minimum."""
    shortest_ms = max(limits.min_days, 1) * MS_PER_DAY
    return datetime.fromtimestamp((now_ms - shortest_ms) // 1000, UTC).date()


def _days(root: Path) -> list[tuple[date, Path]]:
    found = []
    for path in root.glob("[0-9][0-9][0-9][0-9]/[0-9][0-9]/[0-9][0-9]"):
        with suppress(ValueError):  # a 31st of February is none of ours
            found.append((date(*map(int, path.relative_to(root).parts)), path))
    return sorted(found)


def _recordings(day: Path) -> set[str]:
    kinds = {".json", *(f".{form}" for form in MASTER_FORMATS)}
    return {path.stem for path in day.iterdir() if path.suffix in kinds and is_id(path.stem)}


def _remove_empty(day: Path, root: Path) -> None:
    """The folders of a day of which nothing is left, up to its year; today's may be about to be used."""
    if day.relative_to(root).parts == tuple((datetime.now(UTC).date()).isoformat().split("-")):
        return
    for directory in (day, day.parent, day.parent.parent):
        try:
            directory.rmdir()
        except OSError:
            return
