"""From the spool to its day: the steps by which a live recording becomes a master with a manifest.

Each step can be the last before a crash; `repair` takes up from any of them:
file exact and durable -> manifest durable -> audio renamed -> entry in the chain -> journal removed.
So a published audio file always has its manifest, and the journal goes last. The call's end must be in
the journal before.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mediaproxy.recording import chain, manifest, wav
from mediaproxy.recording.journal import Ended, Header
from mediaproxy.recording.manifest import Actor, Interval, Manifest, Master, Participant
from mediaproxy.storage import disk, sparse
from mediaproxy.storage.audio import identity
from mediaproxy.storage.outcome import COMPLETE, DEGRADED, NONE, RECOVERED, Outcome
from mediaproxy.storage.store import Storage

AUDIO_OUTSIDE = "audio_outside_interval"  # a bug of ours: it was blanked, and is told


def publish(storage: Storage, header: Header, ended: Ended, *, recovered: bool = False) -> Outcome:
    """Make the live recording a published one. `OSError` leaves it to be repaired."""
    live, target = _paths(storage, header)
    if target.exists():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    sha256, blanked = _make_exact(live, header, ended)
    reasons = ended.reasons + ((AUDIO_OUTSIDE,) if blanked and not recovered else ())
    result = RECOVERED if recovered else DEGRADED if reasons else COMPLETE
    claims = _manifest(header, ended, result, reasons, Master(target.name, sha256))
    document = manifest.encode(manifest.sign(claims, storage.private_key))
    day = storage.make_day(header.answered_at_ms)
    disk.write_new(storage.manifest(header.recording_id, header.answered_at_ms), document)
    live.rename(target)
    disk.sync_directory(day)
    disk.sync_directory(storage.live)
    by = Actor("recovery" if recovered else "call_end")
    storage.chain.append(chain.published(header.recording_id, document, by))
    storage.journal(header.recording_id).unlink()
    return Outcome(
        header.recording_id, result, reasons, ended.duration_samples, ended.intervals, target, sha256
    )


def discard(storage: Storage, header: Header, duration_samples: int) -> Outcome:
    """There never was audio: no file is left. The journal goes last here too."""
    storage.live_audio(header.recording_id).unlink(missing_ok=True)
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


def _paths(storage: Storage, header: Header) -> tuple[Path, Path]:
    return storage.live_audio(header.recording_id), storage.audio(header.recording_id, header.answered_at_ms)


def _make_exact(live: Path, header: Header, ended: Ended) -> tuple[str, int]:
    """Exactly as long as the call, zero outside the intervals, durable. Returns SHA-256 and bytes blanked."""
    fd = disk.open_existing(live)
    try:
        _trim(fd, header, ended.duration_samples)
        blanked = sum(
            sparse.blank(fd, wav.data_end(start), wav.data_end(end))
            for start, end in gaps(ended.intervals, ended.duration_samples)
        )
        _append_tail(fd, header, ended)
        os.fsync(fd)
        return sparse.sha256(fd), blanked
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
    header: Header, ended: Ended, result: str, reasons: tuple[str, ...], master: Master
) -> Manifest:
    participants = header.participants if ended.participants is None else ended.participants
    return Manifest(
        recording_id=header.recording_id,
        call_id=header.call_id,
        sip_call_id=header.sip_call_id,
        answered_at=manifest.rfc3339(header.answered_at_ms),
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
        keep_days=header.keep_days,
    )


def _gone_by(participant: Participant, duration: int) -> Participant:
    return participant if participant.to_sample is not None else replace(participant, to_sample=duration)
