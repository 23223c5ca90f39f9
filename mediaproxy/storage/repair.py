"""After a crash: every live recording is closed at the last known time of its call and published.

First the end is made durable in the journal, then it is published like any other: a crash meanwhile is
taken up again at the same end. What cannot be judged is refused, and not a byte of it changes.
"""

import os
from collections.abc import Callable
from pathlib import Path

from mediaproxy.ids import CallId, RecordingId
from mediaproxy.recording import journal, manifest, wav
from mediaproxy.recording.journal import Ended, Header, JournalState
from mediaproxy.storage import disk
from mediaproxy.storage.audio import identity
from mediaproxy.storage.last_known import Kept, Opened, judged
from mediaproxy.storage.outcome import Outcome, Refused, Repaired
from mediaproxy.storage.publish import conclude, discard, publish
from mediaproxy.storage.store import Storage, is_id

MAX_JOURNAL_BYTES = 64 << 20

LastKnown = Callable[[CallId], int | None]


def nothing_known(_call: CallId) -> int | None:
    """There is no call log at hand."""
    return None


def pending(storage: Storage) -> list[str]:
    """What a crash left in the spool, by name. To be asked before a spool runs on this storage."""
    for draft in storage.live.glob("*.tmp"):
        draft.unlink()
    return sorted({path.stem for path in storage.live.iterdir() if path.suffix in {".wav", ".journal"}})


def in_spool(storage: Storage, name: str) -> bool:
    """Whether anything lies there of a recording that a worker left when it died; drafts of it go. Beside
    spools that run on this storage. `OSError`: nobody can say."""
    if not is_id(name):
        return True  # for `repair_one` to refuse
    for draft in storage.live.glob(f"{name}.*.tmp"):
        draft.unlink(missing_ok=True)
    recording = RecordingId(name)
    return _is_there(storage.journal(recording)) or _is_there(storage.live_audio(recording))


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    return True


def repair(storage: Storage, last_known_ms: LastKnown = nothing_known) -> list[Repaired | Refused]:
    """Close all that lies in the spool. Only while no spool is running on this storage."""
    found = (repair_one(storage, name, last_known_ms) for name in pending(storage))
    return [each for each in found if each is not None]


def repair_one(
    storage: Storage, name: str, last_known_ms: LastKnown = nothing_known
) -> Repaired | Refused | None:
    """Close one that was `pending`, in any thread; None when it was hardly begun, and is gone now.

    `last_known_ms` says until when (Unix ms) a call is known to have lived.
    """
    try:
        if not is_id(name):
            raise Kept("its name is none of ours")
        return _close(storage, RecordingId(name), last_known_ms)
    except Kept as kept:
        return Refused(name, str(kept))
    except OSError as error:
        why = f"{error.strerror}: {error.filename or storage.live}"
        return Refused(name, why, disk.may_pass(error))


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


def _close(storage: Storage, recording: RecordingId, last_known_ms: LastKnown) -> Repaired | None:
    content = _journal_bytes(storage.journal(recording))
    state = journal.replay(content)
    _require_understood(state)
    live = storage.live_audio(recording)
    if state.header is None:
        _remove_stillborn(storage, recording, content)
        return None
    header = state.header
    if header.recording_id != recording:
        raise Kept("its journal is that of another recording")
    if storage.published_audio(recording, header.answered_at_ms) is not None:
        return Repaired(header, _concluded(storage, header, live))
    ended = judged(state, header, live, last_known_ms(header.call_id))
    if not ended.intervals and not header.keep_unrecorded:
        return Repaired(header, discard(storage, header, ended.duration_samples))
    return Repaired(header, _publish(storage, header, ended, content[: state.valid_bytes], state))


def _journal_bytes(path: Path) -> bytes:
    try:
        with Opened(path) as fd:
            content = os.pread(fd, MAX_JOURNAL_BYTES + 1, 0)
    except FileNotFoundError:
        raise Kept("its journal is missing, so nothing says what may be heard") from None
    if len(content) > MAX_JOURNAL_BYTES:
        raise Kept("its journal is too long to be one of ours")
    return content


def _require_understood(state: JournalState) -> None:
    """A crash tears the last line; it neither damages one in the middle nor writes a strange one."""
    if state.newer:
        line = f"line {state.lines + 1} of its journal was written by a newer mediaproxy"
        raise Kept(f"{line}; repair it with that one")
    if state.damaged and state.ended is None:
        raise Kept(f"line {state.lines + 1} of its journal is damaged, so nothing says what may be heard")


def _remove_stillborn(storage: Storage, recording: RecordingId, content: bytes) -> None:
    """The crash came while the journal was begun: nothing had been recorded."""
    live = storage.live_audio(recording)
    audio_bytes = live.lstat().st_size if os.path.lexists(live) else 0
    if b"\n" in content or audio_bytes > wav.HEADER_BYTES:
        raise Kept("its journal has no valid first line, so nothing says what may be heard")
    if storage.locate(recording) is not None:
        raise Kept("its journal has no valid first line, and its audio is published")
    live.unlink(missing_ok=True)
    storage.journal(recording).unlink()


def _concluded(storage: Storage, header: Header, live: Path) -> Outcome:
    """The crash came between the audio's renaming and the journal's removal."""
    outcome = conclude(storage, header)
    if outcome is None:
        if os.path.lexists(live):
            raise Kept("a published recording of the same name exists")
        raise Kept("its published audio has no valid manifest")
    return outcome


def _publish(storage: Storage, header: Header, ended: Ended, believed: bytes, state: JournalState) -> Outcome:
    live = storage.live_audio(header.recording_id)
    if state.ended is None:
        path = storage.journal(header.recording_id)
        disk.write_new(path, believed + journal.encode(ended, state.lines))
        disk.sync_directory(storage.live)
    size = live.stat().st_size if live.exists() else 0
    if size < wav.HEADER_BYTES:
        disk.write_new(live, wav.header(wav.constant_part(identity(header)), 0))
    elif size < wav.data_end(ended.duration_samples):
        os.truncate(live, wav.data_end(wav.held_frames(size)))  # half a sample would be another one
    return publish(storage, header, ended, recovered=True)
