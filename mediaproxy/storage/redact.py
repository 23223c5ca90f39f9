"""Redaction and removal: what makes less of a published recording, never more, and says so in the chain.

A redaction: the next manifest (with the hash of the audio as it will be) durable beside the recording ->
entry in the chain -> audio zeroed in place -> renditions removed -> manifest renamed. From the entry on it
is done or will be: `finish` completes it after a crash; before the entry it is as if never begun. A FLAC
master is encoded anew before the entry, and its old bytes are overwritten when it is replaced.
A removal: its day noted -> entry in the chain -> audio, manifest and renditions removed.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from mediaproxy.clock import rfc3339
from mediaproxy.errors import Malformed, MediaproxyError, Misuse
from mediaproxy.ids import RecordingId
from mediaproxy.recording import chain, flac, manifest, wav
from mediaproxy.recording.chain import DELETED, REDACTED, TOMBSTONES, Draft, Entry
from mediaproxy.recording.manifest import Actor, Manifest, Master, Redaction
from mediaproxy.storage import changes, disk, flacs, keys, sparse
from mediaproxy.storage.changes import changing
from mediaproxy.storage.judge import audio_files, judge
from mediaproxy.storage.masters import open_master
from mediaproxy.storage.store import Storage, is_id

MAX_REASON: Final = 500

NOT_OVER: Final = "its publishing is not over yet; try again in a moment"
NOT_IN_CHAIN: Final = "nothing in the chain says that it was published; hold it against `mediaproxy verify`"
NOT_AS_PUBLISHED: Final = "it is not as it was published, so nothing that we sign may be made of it"


class Unchanged(MediaproxyError):
    """The recording was left as it is; the text says why."""


@dataclass(frozen=True, slots=True)
class Redacted:
    """A redaction that is done, the manifest that tells of it, and that manifest's SHA-256."""

    redaction: Redaction
    claims: Manifest
    manifest_sha256: str


def redact(
    storage: Storage, recording: RecordingId, start: int, end: int, *, by: Actor, reason: str
) -> Redacted:
    """Zero `[start, end)` of a published recording for ever. `Unchanged` says why not; after an `OSError`
    it is either as before or finished by the next `finish`. Blocks for as long as it takes to read it."""
    with changing(storage.root):
        _finish(storage, recording)
        document = _document(storage, recording)
        content, claims = _intact(storage, document)
        if not 0 <= start < end <= claims.duration_samples:
            raise Misuse("a redaction lies within the recording")
        at = rfc3339(storage.chain.now_ms())
        redaction = Redaction(start, end, reason, by, at)
        replaces = chain.sha256(content)
        following = _drafted(storage, document, claims, redaction, replaces)
        named = chain.sha256(following)
        entries = storage.chain.append(Draft(REDACTED, recording, named, by, reason, replaces))
        _finish(storage, recording, decided=entries[0])
        return Redacted(redaction, manifest.decode(following), named)


def remove(
    storage: Storage,
    recording: RecordingId,
    *,
    by: Actor,
    reason: str,
    kind: str = DELETED,
    known: Entry | None = None,
) -> bool:
    """Remove a published recording; `kind` is DELETED or EXPIRED. False when it was removed before.

    `known` is what the chain said last of it a while ago: whoever removes many asks once for all of them.
    """
    with changing(storage.root):
        _finish(storage, recording)
        _require_published(storage, recording)
        last = known if known is not None and _still_says(storage, known) else _last(storage, recording)
        if last.kind in TOMBSTONES:
            return False
        day = _document(storage, recording).parent.relative_to(storage.root)
        disk.write_new(changes.going(storage.root, recording), str(day).encode())
        disk.sync_directory(storage.root / changes.DIRECTORY)
        entries = storage.chain.append(Draft(kind, recording, last.manifest, by, reason))
        _finish(storage, recording, decided=entries[0])
        return True


def finish(storage: Storage) -> Iterator[str]:
    """Complete, or forget, what a crash left of redactions and removals; a line for each."""
    for recording in sorted(changes.begun(storage.root)):
        with changing(storage.root):
            try:
                _finish(storage, RecordingId(recording))
            except (OSError, Malformed, Unchanged) as error:
                yield f"{recording}: a change of it cannot be finished: {error}"
            else:
                yield f"{recording}: a change of it was finished after a crash, or forgotten"


def _document(storage: Storage, recording: RecordingId) -> Path:
    found = storage.locate(recording)
    if found is None:
        raise Unchanged("its manifest is not there")
    return found


def _require_published(storage: Storage, recording: RecordingId) -> None:
    if storage.journal(recording).exists():
        raise Unchanged(NOT_OVER)


def _still_says(storage: Storage, known: Entry) -> bool:
    """It lies there as the entry names it: nothing was said of it since."""
    document = storage.locate(RecordingId(known.recording_id))
    return (
        document is not None
        and known.kind not in TOMBSTONES
        and chain.sha256(document.read_bytes()) == known.manifest
    )


def _last(storage: Storage, recording: RecordingId) -> Entry:
    last = storage.chain.last(recording)
    if last is None:
        raise Unchanged(NOT_IN_CHAIN)
    return last


def _intact(storage: Storage, document: Path) -> tuple[bytes, Manifest]:
    """The manifest, after all that it says was found to be so: what we sign next must not hide a forgery."""
    _require_published(storage, RecordingId(document.stem))
    last = _last(storage, RecordingId(document.stem))
    verdict = judge(document, keys.beside(document.parent))
    if not verdict.ok or verdict.claims is None:
        raise Unchanged(f"{NOT_AS_PUBLISHED}: {'; '.join(verdict.problems)}")
    if last.manifest != verdict.manifest_sha256:
        raise Unchanged(f"{NOT_AS_PUBLISHED}: its manifest is not the one that the chain names")
    return document.read_bytes(), verdict.claims


def _drafted(
    storage: Storage, document: Path, claims: Manifest, redaction: Redaction, replaces: str
) -> bytes:
    """The next manifest, durable beside the recording; and the next audio where it is a file of its own."""
    audio = document.with_name(claims.master.file)
    following = replace(
        claims, version=manifest.VERSION, redactions=(*claims.redactions, redaction), replaces=replaces
    )
    sha256 = _next_sha256(storage, audio, following, redaction)
    signed = manifest.sign(replace(following, master=Master(audio.name, sha256)), storage.private_key)
    content = manifest.encode(signed)
    disk.write_new(changes.manifest_draft(storage.root, claims.recording_id), content)
    disk.sync_directory(storage.root / changes.DIRECTORY)
    return content


def _next_sha256(storage: Storage, audio: Path, following: Manifest, redaction: Redaction) -> str:
    if audio.suffix == ".wav":
        with audio.open("rb") as file:
            zeroed = wav.data_end(redaction.start_sample), wav.data_end(redaction.end_sample)
            return sparse.sha256(file.fileno(), zeroed=zeroed)
    return _encoded_anew(changes.audio_draft(storage.root, following.recording_id), audio, following)


def _encoded_anew(draft: Path, audio: Path, following: Manifest) -> str:
    draft.unlink(missing_ok=True)
    fd = disk.create(draft)
    try:
        with open_master(audio) as pcm:
            samples = _silenced(pcm.chunks(0, pcm.shape.frames), following.redactions)
            info = flacs.write(fd, samples, pcm.shape, _comments(following), lambda _: None)
        flacs.check(fd, info)
        os.fsync(fd)
        return sparse.sha256(fd)
    finally:
        os.close(fd)


def _comments(claims: Manifest) -> list[str]:
    answered_at_ms = round(datetime.fromisoformat(claims.answered_at).timestamp() * 1000)
    identity = wav.Identity(claims.recording_id, claims.call_id, answered_at_ms, claims.sample_rate)
    return flac.comments(identity, claims.intervals, claims.duration_samples)


def _silenced(pieces: Iterator[tuple[int, bytes]], redactions: Sequence[Redaction]) -> Iterator[bytes]:
    for at, piece in pieces:
        samples = bytearray(piece)
        for each in redactions:
            first = max(each.start_sample - at, 0) * wav.FRAME_BYTES
            last = min((each.end_sample - at) * wav.FRAME_BYTES, len(samples))
            if first < last:
                samples[first:last] = bytes(last - first)
        yield bytes(samples)


def _finish(storage: Storage, recording: RecordingId, *, decided: Entry | None = None) -> None:
    """Do what the chain says was decided (`decided`, when that is known), or forget what was not.
    Harmless when there is nothing."""
    if not is_id(recording):
        return
    draft = changes.manifest_draft(storage.root, recording)
    going = changes.going(storage.root, recording)
    if draft.exists():
        _finish_redaction(storage, draft, decided or storage.chain.last(recording))
    if going.exists():
        last = decided or storage.chain.last(recording)
        if last is not None and last.kind in TOMBSTONES:
            _remove_files(storage, storage.root / going.read_text() / f"{recording}.json")
    for left in (storage.root / changes.DIRECTORY).glob(f"{recording}.*"):
        left.unlink()


def _finish_redaction(storage: Storage, draft: Path, last: Entry | None) -> None:
    content = draft.read_bytes()
    if last is None or last.manifest != chain.sha256(content):
        return
    claims = manifest.decode(content)
    recording = RecordingId(claims.recording_id)
    document = _document(storage, recording)
    audio = document.with_name(claims.master.file)
    if audio.suffix == ".wav":
        _zero_in_place(audio, claims.redactions)
    else:
        _replace_audio(audio, changes.audio_draft(storage.root, recording))
    forget_copies(storage, recording)
    draft.rename(document)
    disk.sync_directory(document.parent)
    forget_copies(storage, recording)  # what was finished since; whoever makes one now sees this manifest


def _zero_in_place(audio: Path, redactions: Sequence[Redaction]) -> None:
    """The blocks themselves are overwritten, where the file system writes in place."""
    fd = disk.open_existing(audio)
    try:
        for each in redactions:
            sparse.blank(fd, wav.data_end(each.start_sample), wav.data_end(each.end_sample))
        os.fsync(fd)
    finally:
        os.close(fd)


def _replace_audio(audio: Path, draft: Path) -> None:
    if not draft.exists():  # it was replaced before the crash
        return
    old = disk.open_existing(audio)
    try:
        draft.rename(audio)
        disk.sync_directory(audio.parent)
        sparse.blank(old, 0, os.fstat(old).st_size)
        os.fsync(old)
    finally:
        os.close(old)


def _remove_files(storage: Storage, document: Path) -> None:
    for path in (*audio_files(document), document):
        path.unlink(missing_ok=True)
    forget_copies(storage, RecordingId(document.stem))
    disk.sync_directory(document.parent)


def forget_copies(storage: Storage, recording: RecordingId) -> None:
    """Renditions and waveforms, of whichever master they were made."""
    for path in storage.renditions.glob(f"{recording}-*"):
        path.unlink(missing_ok=True)
