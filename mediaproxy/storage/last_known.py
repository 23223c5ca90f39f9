"""Where a call that a crash cut off ended, as journal, live file and call log prove it. Changes nothing.

The live file's header never promises what is not there and is patched every fraction of a second: it
says how far the call had come, and how many lines of the journal were durable then. What lies beyond
it nobody vouches for. A journal that still has those lines lacks no toggle up to there (see `live`),
so an open interval ends there, also when the crash tore a later line. Where the header does not say
(before there were counts), a torn line may be a stop: then it ends after the last audio that was kept.
The call may have gone on for longer, as its log or a toggle knows: to there the file is silent.
"""

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from mediaproxy.errors import Malformed
from mediaproxy.recording import wav
from mediaproxy.recording.journal import Ended, Header, JournalState
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import sparse
from mediaproxy.storage.publish import gaps

INTERRUPTED = "interrupted"
JOURNAL_TORN = "journal_torn"
AUDIO_MISSING = "audio_missing"  # the file is shorter than its header says
RECOVERY = Actor("recovery")
HEADER_DURABLE_S = 2  # by then it is, whatever takes the power away
MAX_AHEAD_S = 3_600  # by more than that the log is not ahead of the file: somebody set the clock


class Kept(Exception):
    """Why a recording is left as it is."""


class Opened:
    """A file for reading, as a descriptor: no link is followed, no pipe waited for."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> int:
        self._fd = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise Kept(f"{self._path.name} is no plain file")
        return self._fd

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def judged(state: JournalState, header: Header, live: Path, last_known_ms: int | None) -> Ended:
    """The end of a recording of that journal and live file; `Kept` when they contradict each other."""
    try:
        with Opened(live) as fd:
            lying = _examined(fd, header)
            if state.lines < lying.lines:
                raise Kept(f"its journal has lost {lying.lines - state.lines} of its lines")
            ended = state.ended or _last_known(state, header, lying, fd, last_known_ms)
            _require_silence(fd, ended, lying)
    except FileNotFoundError:
        ended = state.ended or _last_known(state, header, _Lying(), None, last_known_ms)
        if _was_open(state, ended):
            raise Kept("its audio file is missing") from None
        return ended
    if lying.headless and _was_open(state, ended) and not _just_begun(ended, header, last_known_ms):
        raise Kept("its audio file ends within its header")
    if lying.held < lying.promised:
        return replace(ended, reasons=tuple(dict.fromkeys((*ended.reasons, AUDIO_MISSING))))
    return ended


@dataclass(frozen=True, slots=True)
class _Lying:
    """The live file as it lies: `promised` sample frames, of which `held` are there."""

    promised: int = 0
    held: int = 0
    lines: int = 0  # of the journal, durable when that was promised; 0 = not said
    headless: bool = False  # shorter than its header: damaged, or the power went just after it was made


def _was_open(state: JournalState, ended: Ended) -> bool:
    """Audio was wanted, so that it is missing now."""
    return bool(ended.intervals) or state.open_since is not None


def _just_begun(ended: Ended, header: Header, last_known_ms: int | None) -> bool:
    """The log says how long the call lived; without it nobody knows."""
    if last_known_ms is None or last_known_ms - header.answered_at_ms > HEADER_DURABLE_S * 1_000:
        return False
    return ended.duration_samples <= HEADER_DURABLE_S * header.sample_rate


def _examined(fd: int, header: Header) -> _Lying:
    """What the file promises; it must be this recording's."""
    head = os.pread(fd, wav.HEADER_BYTES, 0)
    held = wav.held_frames(os.fstat(fd).st_size)
    if not head.strip(b"\0"):  # a power cut can take the header and leave the length
        return _Lying(held, held, headless=len(head) < wav.HEADER_BYTES)
    if len(head) < wav.HEADER_BYTES:
        if not any(form.startswith(head[:4]) for form in (b"RIFF", b"RF64")):
            raise Kept("its audio file is none of ours")
        return _Lying(headless=True)
    return _Lying(_shape(head, header).frames, held, wav.journal_lines(head))


def _shape(head: bytes, header: Header) -> wav.Shape:
    try:
        shape = wav.parse(head)
    except Malformed:
        raise Kept("its audio file is none of ours") from None
    if wav.recording_of(head) != header.recording_id.replace("-", ""):
        raise Kept("its audio file is that of another recording")
    if shape.sample_rate != header.sample_rate:
        raise Kept("its audio file has another sample rate than its journal")
    return shape


def _last_known(
    state: JournalState, header: Header, lying: _Lying, fd: int | None, last_known_ms: int | None
) -> Ended:
    torn = state.garbage_bytes > 0
    reached = lying.promised
    if torn and fd is not None and not lying.lines:
        reached = _after_last_audio(state, lying, fd)
    intervals = state.intervals(max(reached, state.last_position), RECOVERY)
    duration = _with_log(max(lying.promised, state.last_position), header, last_known_ms)
    reasons = (INTERRUPTED, JOURNAL_TORN) if torn else (INTERRUPTED,)
    return Ended(duration, intervals, reasons=reasons, participants=state.participants)


def _with_log(known: int, header: Header, last_known_ms: int | None) -> int:
    """The log's heartbeat can be later than what the disk took of the recording."""
    if last_known_ms is None:
        return known
    logged = (last_known_ms - header.answered_at_ms) * header.sample_rate // 1_000
    return max(known, logged) if logged <= known + MAX_AHEAD_S * header.sample_rate else known


def _after_last_audio(state: JournalState, lying: _Lying, fd: int) -> int:
    """Only what was surely wanted was ever written."""
    since = state.open_since
    if since is None:
        return lying.promised
    start, end = wav.data_end(since.position), wav.data_end(lying.promised)
    last = sparse.end_of_nonzero(fd, start, max(start, end))
    return since.position + -(-(last - start) // wav.FRAME_BYTES)


def _require_silence(fd: int, ended: Ended, lying: _Lying) -> None:
    """Sound without a journalled opening: a part of the journal is gone, or it is not this file's."""
    for start, end in gaps(ended.intervals, min(lying.promised, ended.duration_samples)):
        if sparse.first_nonzero(fd, wav.data_end(start), wav.data_end(end)) is not None:
            raise Kept("its audio file holds sound where its journal has no recording")
