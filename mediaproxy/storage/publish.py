"""From the spool to its day: the steps by which a live recording becomes a master with a manifest.

Each step can be the last before a crash, and may be done again; `repair` takes up from any of them:
file exact and durable -> [FLAC made of it and read back] -> manifest durable -> audio renamed -> entry in
the chain -> live file and journal removed. So a published audio file always has its manifest, and the
journal goes last. The call's end must be in the journal before.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from mediaproxy.clock import rfc3339
from mediaproxy.ids import RecordingId
from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.journal import Ended, Header
from mediaproxy.recording.manifest import Actor, Interval, Manifest, Master, Participant, Redaction
from mediaproxy.storage import asked, disk, keys, sparse
from mediaproxy.storage.audio import identity
from mediaproxy.storage.encoders import CLOSED, Failed
from mediaproxy.storage.jobs import Inscription, Job
from mediaproxy.storage.outcome import COMPLETE, DEGRADED, NONE, RECOVERED, Outcome
from mediaproxy.storage.store import Storage

AUDIO_OUTSIDE = "audio_outside_interval"  # a bug of ours: it was blanked, and is told

ENCODING_S: Final = 4.0  # of the five seconds until a result is due
RECOVERING_S: Final = 60.0  # nobody waits for it
ENCODED_BYTES_PER_S: Final = 10_000_000  # of WAV: slower than a loaded machine's spare time allows


@dataclass(frozen=True, slots=True)
class _Made:
    """A master before it has its place: durable, exact."""

    path: Path
    form: str
    sha256: str
    remark: str | None = None


def publish(
    storage: Storage, header: Header, ended: Ended, *, recovered: bool = False, waited_s: float = 0.0
) -> Outcome:
    """Make the live recording a published one. After an `OSError` it may be called again, or the rest is
    left to be repaired; `FileExistsError`: something else lies in its place.

    `waited_s` is how long it had to wait for this; a FLAC that would come too late is a WAV.
    """
    if storage.published_audio(header.recording_id, header.answered_at_ms) is not None:
        return _concluded(storage, header)
    live = storage.live_audio(header.recording_id)
    redactions = _redactions(storage, header, ended.duration_samples)
    blanked = _make_exact(live, header, ended, redactions)
    made = _master(storage, header, ended, live, (RECOVERING_S if recovered else ENCODING_S) - waited_s)
    reasons = ended.reasons + ((AUDIO_OUTSIDE,) if blanked and not recovered else ())
    result = RECOVERED if recovered else DEGRADED if reasons else COMPLETE
    target = storage.audio(header.recording_id, header.answered_at_ms, made.form)
    claims = _manifest(header, ended, result, reasons, Master(target.name, made.sha256), redactions)
    document = manifest.encode(manifest.sign(claims, storage.private_key))
    day = _say(storage, header, document)
    disk.sync_directory(day)
    made.path.rename(target)
    disk.sync_directory(day)
    by = Actor("recovery" if recovered else "call_end")
    storage.chain.append(chain.published(header.recording_id, document, by))
    _clear(storage, header)
    return replace(_outcome(claims, target), remark=made.remark)


def conclude(storage: Storage, header: Header) -> Outcome | None:
    """Finish what stopped after the audio had its place; None unless it is what its manifest says, and the
    manifest is ours. Then nothing is changed."""
    found = storage.find(header.recording_id, header.answered_at_ms)
    live = storage.live_audio(header.recording_id)
    if found is None or (found.audio.suffix == ".wav" and os.path.lexists(live)):
        return None
    document = found.manifest.read_bytes()
    if not _is_ours(header, found.manifest, document) or _sha256(found.audio) != found.sha256:
        return None
    claims = manifest.decode(document)
    by = Actor("recovery" if claims.result == RECOVERED else "call_end")
    storage.chain.append(chain.published(header.recording_id, document, by), once=True)
    _clear(storage, header)
    return _outcome(claims, found.audio)


def discard(storage: Storage, header: Header, duration_samples: int) -> Outcome:
    """There never was audio: no file is left. The journal goes last here too."""
    storage.live_audio(header.recording_id).unlink(missing_ok=True)
    asked.forget(storage, header.recording_id)
    disk.sync_directory(storage.live)
    storage.journal(header.recording_id).unlink(missing_ok=True)
    return Outcome(header.recording_id, NONE, (), duration_samples)


def gaps(intervals: Sequence[Interval], duration: int) -> list[tuple[int, int]]:
    """Where a recording of this length must be silent, as `[start, end)` in samples."""
    found: list[tuple[int, int]] = []
    at = 0
    for interval in intervals:
        if interval.start_sample > at:
            found.append((at, interval.start_sample))
        at = max(at, interval.end_sample)
    return [*found, (at, duration)] if at < duration else found


def _concluded(storage: Storage, header: Header) -> Outcome:
    outcome = conclude(storage, header)
    if outcome is None:
        there = str(storage.published_audio(header.recording_id, header.answered_at_ms))
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), there)
    return outcome


def _say(storage: Storage, header: Header, document: bytes, tries: int = 10) -> Path:
    """The manifest in the directory of its day, of which retention removes what is empty at any moment."""
    try:
        day = storage.make_day(header.answered_at_ms)
        disk.write_new(storage.manifest(header.recording_id, header.answered_at_ms), document)
    except FileNotFoundError:
        if tries == 1:
            raise
        return _say(storage, header, document, tries - 1)
    return day


def _master(storage: Storage, header: Header, ended: Ended, live: Path, patience_s: float) -> _Made:
    """The WAV as it is, or a FLAC of it. No trouble with an encoder loses a recording."""
    if header.format == "wav":
        return _Made(live, "wav", _sha256(live))
    target = storage.live / f"{header.recording_id}.flac"
    told = Inscription(identity(header), ended.intervals)
    timeout_s = patience_s + live.stat().st_size / ENCODED_BYTES_PER_S
    try:
        sha256 = storage.encoders.run(Job("flac", live, target, inscription=told), timeout_s=timeout_s)
    except Failed as failed:
        if failed.reason == CLOSED:  # the next start has the time
            raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED), str(live)) from failed
        why = ": ".join(filter(None, (failed.reason, failed.last_words)))
        return _Made(live, "wav", _sha256(live), f"published as WAV: {why}")
    disk.sync_directory(storage.live)
    return _Made(target, "flac", sha256)


def _sha256(path: Path) -> str:
    fd = disk.open_to_read(path)
    try:
        return sparse.sha256(fd)
    finally:
        os.close(fd)


def _is_ours(header: Header, path: Path, document: bytes) -> bool:
    """`Malformed` was ruled out when it was found."""
    claims = manifest.decode(document)
    key = keys.beside(path).get(claims.key_id or "")
    if key is None or claims.recording_id != header.recording_id:
        return False
    return manifest.signature_holds(document, key)


def _clear(storage: Storage, header: Header) -> None:
    """The spool forgets it; the journal, which knows all the rest, goes last."""
    recording = header.recording_id
    for left in (storage.live_audio(recording), storage.live / f"{recording}.flac"):
        left.unlink(missing_ok=True)
    asked.forget(storage, recording)
    disk.sync_directory(storage.live)
    storage.journal(recording).unlink(missing_ok=True)


def _outcome(claims: Manifest, audio: Path) -> Outcome:
    return Outcome(
        RecordingId(claims.recording_id),
        claims.result,
        claims.reasons,
        claims.duration_samples,
        claims.intervals,
        audio,
        claims.master.sha256,
    )


def _redactions(storage: Storage, header: Header, duration: int) -> tuple[Redaction, ...]:
    """What was asked for while it was live, as far as the call went."""
    cut = (
        replace(each, end_sample=min(each.end_sample, duration))
        for each in asked.asked(storage, header.recording_id)
    )
    return tuple(each for each in cut if each.start_sample < each.end_sample)


def _make_exact(live: Path, header: Header, ended: Ended, redactions: Sequence[Redaction]) -> int:
    """Exactly as long as the call, zero outside the intervals and where it was redacted, durable. Returns
    how many bytes outside had to be blanked."""
    fd = disk.open_existing(live)
    try:
        _trim(fd, header, ended.duration_samples)
        blanked = sum(
            sparse.blank(fd, wav.data_end(start), wav.data_end(end))
            for start, end in gaps(ended.intervals, ended.duration_samples)
        )
        for each in redactions:
            sparse.blank(fd, wav.data_end(each.start_sample), wav.data_end(each.end_sample))
        _append_tail(fd, header, ended)
        sparse.sync(fd)
        return blanked
    finally:
        os.close(fd)


def _trim(fd: int, header: Header, duration: int) -> None:
    """Shorten the promise before the file, lengthen the file before the promise."""
    head = wav.header(wav.constant_part(identity(header)), duration)
    shortens = os.fstat(fd).st_size > wav.data_end(duration)
    if shortens:
        disk.write_at(fd, [head], 0)
    os.ftruncate(fd, wav.data_end(duration))
    if not shortens:
        disk.write_at(fd, [head], 0)


def _append_tail(fd: int, header: Header, ended: Ended) -> None:
    tail = wav.tail(ended.intervals)
    duration = ended.duration_samples
    disk.write_at(fd, [tail], wav.data_end(duration))
    disk.write_at(fd, [wav.header(wav.constant_part(identity(header)), duration, len(tail))], 0)


def _manifest(
    header: Header,
    ended: Ended,
    result: str,
    reasons: tuple[str, ...],
    master: Master,
    redactions: tuple[Redaction, ...],
) -> Manifest:
    participants = header.participants if ended.participants is None else ended.participants
    return Manifest(
        recording_id=header.recording_id,
        call_id=header.call_id,
        sip_call_id=header.sip_call_id,
        answered_at=rfc3339(header.answered_at_ms),
        sample_rate=header.sample_rate,
        duration_samples=ended.duration_samples,
        intervals=ended.intervals,
        participants=tuple(_gone_by(each, ended.duration_samples) for each in participants),
        streams=ended.streams,
        withheld=ended.withheld,
        injected=ended.injected,
        result=result,
        reasons=reasons,
        master=master,
        policy=header.policy,
        consent=header.consent,
        keep_days=header.keep_days,
        redactions=redactions,
    )


def _gone_by(participant: Participant, duration: int) -> Participant:
    return participant if participant.to_sample is not None else replace(participant, to_sample=duration)
