"""After a crash: every live recording is closed at the last known time of its call and published.

The journal says what was on; the file's size says how long the call lasted. A journal that is whole
proves (see `live`) that no toggle is missing up to the file's length, so an open interval ends there.
A torn one may hide a stop: then the interval ends after the last audio that was kept. Running it
again changes nothing, nothing that exists is overwritten, and what cannot be judged is left alone.
"""

import os
from pathlib import Path

from mediaproxy.ids import RecordingId
from mediaproxy.recording import journal, manifest, wav
from mediaproxy.recording.journal import Ended, Header, JournalState
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import disk, sparse
from mediaproxy.storage.audio import identity
from mediaproxy.storage.outcome import Outcome, Refused, Repaired
from mediaproxy.storage.publish import discard, publish
from mediaproxy.storage.store import Storage, is_id

INTERRUPTED = "interrupted"
JOURNAL_TORN = "journal_torn"
RECOVERY = Actor("recovery")


class _Kept(Exception):
    """Why a recording is left as it is."""


def repair(storage: Storage) -> list[Repaired | Refused]:
    """Close all that lies in the spool. Only while no spool is running on this storage."""
    for draft in storage.live.glob("*.tmp"):
        draft.unlink()
    names = {path.stem for path in storage.live.iterdir() if path.suffix in {".wav", ".journal"}}
    found = (_repair_one(storage, name) for name in sorted(names))
    return [each for each in found if each is not None]


def _repair_one(storage: Storage, name: str) -> Repaired | Refused | None:
    try:
        if not is_id(name):
            raise _Kept("its name is none of ours")
        return _close(storage, RecordingId(name))
    except _Kept as kept:
        return Refused(name, str(kept))
    except OSError as error:
        return Refused(name, f"{error.strerror}: {error.filename or storage.live}")


def _close(storage: Storage, recording: RecordingId) -> Repaired | None:
    state = _replayed(storage.journal(recording))
    live = storage.live_audio(recording)
    if state.header is None:
        _remove_stillborn(storage, recording, live)
        return None
    header = state.header
    if header.recording_id != recording:
        raise _Kept("its journal is that of another recording")
    if storage.audio(recording, header.answered_at_ms).exists():
        return Repaired(header, _published(storage, header, live))
    if not live.exists() and state.lines > 1:
        raise _Kept("its audio file is missing")
    return Repaired(header, _publish(storage, header, state, live))


def _replayed(path: Path) -> JournalState:
    try:
        return journal.replay(path.read_bytes())
    except FileNotFoundError:
        raise _Kept("its journal is missing, so nothing says what may be heard") from None


def _remove_stillborn(storage: Storage, recording: RecordingId, live: Path) -> None:
    """The crash came while the journal was begun: nothing had been recorded."""
    if live.exists() and live.stat().st_size > wav.HEADER_BYTES:
        raise _Kept("its journal has no valid first line, so nothing says what may be heard")
    live.unlink(missing_ok=True)
    storage.journal(recording).unlink()


def _published(storage: Storage, header: Header, live: Path) -> Outcome:
    """The crash came between the audio's renaming and the journal's removal."""
    if live.exists():
        raise _Kept("a published recording of the same name exists")
    outcome = published(storage, header.recording_id, header.answered_at_ms)
    if outcome is None:
        raise _Kept("its published audio has no valid manifest")
    storage.journal(header.recording_id).unlink()
    return outcome


def published(storage: Storage, recording: RecordingId, answered_at_ms: int) -> Outcome | None:
    """What became of a recording that was published before a crash, by its manifest; None when it was not.

    The spool forgets a recording when it is published: only this tells of one whose row came too late.
    """
    found = storage.find(recording, answered_at_ms)
    if found is None:
        return None
    claims = manifest.decode(found.manifest.read_bytes())
    return Outcome(
        recording,
        claims.result,
        claims.reasons,
        claims.duration_samples,
        claims.intervals,
        found.audio,
        claims.master.sha256,
    )


def _publish(storage: Storage, header: Header, state: JournalState, live: Path) -> Outcome:
    ended = state.ended or _last_known(state, live)
    if not ended.intervals and not header.keep_unrecorded:
        return discard(storage, header, ended.duration_samples)
    if not live.exists():
        head = wav.header(wav.constant_part(identity(header)), 0)
        disk.write_new(live, head)
    return publish(storage, header, ended, recovered=True)


def _last_known(state: JournalState, live: Path) -> Ended:
    """The end as the files prove it."""
    held = wav.held_frames(live.stat().st_size) if live.exists() else 0
    duration = max(held, state.last_position)
    torn = state.garbage_bytes > 0
    end = _last_certain(state, live, duration) if torn else duration
    reasons = (INTERRUPTED, JOURNAL_TORN) if torn else (INTERRUPTED,)
    return Ended(duration, state.intervals(end, RECOVERY), reasons=reasons)


def _last_certain(state: JournalState, live: Path, duration: int) -> int:
    """After the last audio in the file: only what was surely wanted was ever written there."""
    since = state.open_since
    if since is None:
        return duration
    fd = os.open(live, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        start = wav.data_end(since.position)
        last = sparse.end_of_nonzero(fd, start, max(start, os.fstat(fd).st_size))
    finally:
        os.close(fd)
    return since.position + -(-(last - start) // wav.FRAME_BYTES)
