"""The spool: what the loop asks of the disk, without ever waiting for it.

Threads work for it: one writes audio, some make journal lines durable, some publish (several, because
the kernel commits together what is synced at the same time). Between them and the loop go only
values. A disk that fails or hangs costs audio (silence, counted, the recording degraded) or an
opening (refused), never the loop's time.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from typing import TypeVar

from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import RecordingId
from mediaproxy.recording.journal import Annulled, Ended, Header, Record, Toggled
from mediaproxy.recording.wav import FRAME_BYTES
from mediaproxy.storage.audio import AudioWriter, Flush, Flushed
from mediaproxy.storage.disk import STORAGE_ERROR, STORAGE_FULL
from mediaproxy.storage.journals import RETRY_S, UNKNOWN, Append, Forget, Journalled, JournalWriter, Line
from mediaproxy.storage.live import LiveRecording
from mediaproxy.storage.outcome import FAILED, Outcome
from mediaproxy.storage.publisher import Job, Publisher, failure
from mediaproxy.storage.store import Storage
from mediaproxy.storage.worker import Worker

FLUSH_NS = 400 * NS_PER_MS
STAGGER_NS = 247 * NS_PER_MS  # near the golden section of the period: any number spreads evenly
MAX_BACKLOG_BYTES = 256 << 20
SHARDS = 4
STORAGE_BACKLOG = "storage_backlog"
STORAGE_STOPPED = "storage_stopped"

_FSYNCS_KEPT = 1024
_JOIN_S = 5.0  # for all threads together

T = TypeVar("T")
AnyWorker = Worker[list[Flush]] | Worker[Append | Forget] | Worker[Job]


@dataclass(frozen=True, slots=True)
class JournalResult:
    """Whether a line is durable; if not, the fixed word for why."""

    durable: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SpoolStats:
    live: int
    backlog_bytes: int
    lost_samples: int
    published: int
    failed: int
    fsync_p99_ms: float  # of the last thousand journal writes


@dataclass(slots=True)
class _Entry:
    live: LiveRecording
    promised: int = 0  # by the file's header
    ended: Ended | None = None
    outcome: asyncio.Future[Outcome] | None = None
    closing: bool = False  # its last flush is on the way
    failure: str | None = None  # its end could not be journalled

    @property
    def kept(self) -> bool:
        return self.live.header.keep_unrecorded or bool(self.ended and self.ended.intervals)


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A line on its way, and who waits for it."""

    recording: RecordingId
    record: Record
    result: asyncio.Future[JournalResult]


@dataclass(slots=True)
class _Counters:
    backlog_bytes: int = 0
    lost_samples: int = 0
    published: int = 0
    failed: int = 0
    fsync_s: deque[float] = field(default_factory=lambda: deque(maxlen=_FSYNCS_KEPT))


class Spool:
    """Belongs to `loop`; every method is called there. Futures get values, never exceptions.

    `on_crash` is told, on the loop, what a thread raised that is no disk's fault: a bug.
    """

    def __init__(
        self,
        storage: Storage,
        loop: asyncio.AbstractEventLoop,
        *,
        on_crash: Callable[[Exception], None],
        max_backlog_bytes: int = MAX_BACKLOG_BYTES,
    ) -> None:
        self._storage = storage
        self._loop = loop
        self._on_crash = on_crash
        self._max_backlog_bytes = max_backlog_bytes
        self._entries: dict[RecordingId, _Entry] = {}
        self._awaited: dict[int, _Awaited] = {}
        self._tickets = count(1)
        self._troubles: dict[str, str] = {}
        self._counters = _Counters()
        crashed = partial(self._tell, self._crashed)
        self._audio_writer = AudioWriter(storage, partial(self._tell, self._flushed), crashed)
        self._journal_writers = [
            JournalWriter(storage, partial(self._tell, self._journalled), crashed) for _ in range(SHARDS)
        ]
        publisher = Publisher(storage, partial(self._tell, self._published), crashed)
        self._audio = Worker("audio", self._audio_writer.perform, crashed)
        self._journals = [
            Worker("journal", writer.perform, crashed, idle_s=RETRY_S) for writer in self._journal_writers
        ]
        self._publishers = [Worker("publish", publisher.perform, crashed) for _ in range(SHARDS)]

    @property
    def failing(self) -> str | None:
        """The fixed word for what is wrong with the disk at present."""
        return next(iter(self._troubles.values()), None)

    def stats(self) -> SpoolStats:
        counters = self._counters
        slowest = sorted(counters.fsync_s)
        return SpoolStats(
            live=len(self._entries),
            backlog_bytes=counters.backlog_bytes,
            lost_samples=counters.lost_samples,
            published=counters.published,
            failed=counters.failed,
            fsync_p99_ms=slowest[len(slowest) * 99 // 100] * 1000 if slowest else 0.0,
        )

    def create(self, header: Header) -> asyncio.Future[JournalResult]:
        """Begin a journal and a live file. Tried again while the disk refuses; audio waits for it."""
        ticket, result = self._append(header.recording_id, header)
        live = LiveRecording(header, due_ns=ticket * STAGGER_NS % FLUSH_NS)
        live.await_header(ticket)
        self._entries[header.recording_id] = _Entry(live)
        return result

    def toggle(self, recording: RecordingId, toggled: Toggled) -> asyncio.Future[JournalResult]:
        """Journal a change of state. The file does not grow beyond it before it is durable.

        An opening that is not durable did not happen: its line is off the disk, its audio dropped.
        """
        entry = self._open_entry(recording)
        if entry is None:
            return self._resolved(JournalResult(False, UNKNOWN))
        ticket, result = self._append(recording, toggled)
        entry.live.await_toggle(ticket, toggled)
        return result

    def annul(self, recording: RecordingId, number: int) -> None:
        """Undo an opening that was refused, for taking too long say, however its line fares."""
        if entry := self._open_entry(recording):
            ticket, _ = self._append(recording, Annulled(number))
            entry.live.await_annulment(ticket, number)

    def write(self, recording: RecordingId, first_frame: int, frames: bytes) -> None:
        """Final audio: interleaved 16-bit little-endian stereo from `first_frame` on."""
        entry = self._open_entry(recording)
        if entry is None:
            return
        if self._counters.backlog_bytes + len(frames) > self._max_backlog_bytes:
            entry.live.extend(first_frame + len(frames) // FRAME_BYTES)
            self._lose(entry, len(frames) // FRAME_BYTES, STORAGE_BACKLOG)
            return
        self._counters.backlog_bytes += len(frames)
        entry.live.write(first_frame, frames)

    def extend(self, recording: RecordingId, frames: int) -> None:
        """The recording is final up to `frames`; where nothing was written it is silent."""
        if entry := self._open_entry(recording):
            entry.live.extend(frames)

    def flush(self, now_ns: int) -> None:
        """Hand over audio as it comes, so that little waits in memory, and lengths when they are due; call
        it with every drain. `now_ns` is monotonic."""
        entries = [entry for entry in self._entries.values() if not entry.ended]
        due = [entry for entry in entries if entry.live.due_ns <= now_ns or entry.live.waiting_bytes]
        flushes = [flush for entry in due if (flush := self._flush(entry, now_ns))]
        if flushes:
            self._audio.submit(flushes)

    def finish(self, recording: RecordingId, ended: Ended) -> asyncio.Future[Outcome]:
        """The call is over: publish. With no interval there is no file, unless it is to be kept.

        Audio outside `ended.intervals` that still waits is dropped. Resolves when the audio may be
        downloaded; on a disk that hangs it does not resolve.
        """
        entry = self._open_entry(recording)
        if entry is None:
            return self._resolved(Outcome(recording, FAILED, (UNKNOWN,), ended.duration_samples))
        entry.ended = ended
        entry.outcome = self._loop.create_future()
        if entry.kept:
            self._append(recording, ended)  # when it is durable, so is every toggle before it
        else:
            self._close(entry, ended)
        return entry.outcome

    async def close(self) -> None:
        """End the threads when they have done what was asked so far. Live recordings wait for repair."""
        workers: list[AnyWorker] = [self._audio, *self._journals, *self._publishers]
        writers: list[AudioWriter | JournalWriter] = [self._audio_writer, *self._journal_writers]
        for worker in workers:
            worker.stop()
        ended = await asyncio.to_thread(_join, workers)
        await asyncio.sleep(0)  # what the threads told last
        for worker, writer in zip(workers, writers, strict=False):  # publishers hold nothing open
            if worker in ended:
                writer.close()
        self._abandon()

    def _open_entry(self, recording: RecordingId) -> _Entry | None:
        """Absent when the recording is not known or already finishing: commands race with ends."""
        entry = self._entries.get(recording)
        return None if entry is None or entry.ended else entry

    def _append(self, recording: RecordingId, record: Record) -> tuple[int, asyncio.Future[JournalResult]]:
        ticket = next(self._tickets)
        result: asyncio.Future[JournalResult] = self._loop.create_future()
        self._awaited[ticket] = _Awaited(recording, record, result)
        self._journals[_shard(recording)].submit(Append(ticket, recording, record))
        return ticket, result

    def _flush(self, entry: _Entry, now_ns: int) -> Flush | None:
        live = entry.live
        due = live.due_ns <= now_ns
        live.due_ns += FLUSH_NS * (1 + (now_ns - live.due_ns) // FLUSH_NS)
        waiting = live.waiting_bytes
        pieces = live.take()
        taken = sum(len(each.frames) for each in pieces)
        self._counters.backlog_bytes -= waiting - live.waiting_bytes - taken  # refused audio
        # What was handed over since the header was last patched is promised when that is due, not when the
        # next audio happens to come.
        promise = live.handed if due and live.handed > entry.promised else 0
        if not pieces and not promise:
            return None
        entry.promised = max(entry.promised, promise)
        return Flush(live.header, pieces, promise)

    def _lose(self, entry: _Entry, samples: int, reason: str) -> None:
        self._counters.lost_samples += samples
        entry.live.lose(samples, reason)

    def _tell(self, hear: Callable[[T], None], value: T) -> None:
        """From a thread to the loop; a loop that has ended hears nothing."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(hear, value)

    def _flushed(self, flushed: Flushed) -> None:
        self._counters.backlog_bytes -= flushed.audio_bytes
        if flushed.faults or flushed.audio_bytes:  # a hole costs no space, so it proves nothing
            self._note_trouble("audio", flushed.faults[0].reason if flushed.faults else None)
        for fault in flushed.faults:
            if entry := self._entries.get(fault.recording):
                self._lose(entry, fault.lost_samples, fault.reason)
        for recording in flushed.closed:
            entry = self._entries.get(recording)
            if entry is not None and entry.ended is not None:
                self._conclude(entry, entry.ended)

    def _journalled(self, journalled: Journalled) -> None:
        if journalled.fsync_s is not None:
            self._counters.fsync_s.append(journalled.fsync_s)
        if journalled.space_again:
            self._troubles = {k: v for k, v in self._troubles.items() if v != STORAGE_FULL}
        else:
            self._note_trouble(
                "journal", next((line.reason for line in journalled.lines if line.reason), None)
            )
        for line in journalled.lines:
            self._settle(line)

    def _settle(self, line: Line) -> None:
        """Answer who waits for the line, once; the file waits on for a line that must be written."""
        awaited = self._awaited.get(line.ticket)
        if awaited is None:  # tried again after its recording was given up
            return
        if not line.awaited:
            del self._awaited[line.ticket]
        if not awaited.result.done():
            awaited.result.set_result(JournalResult(line.durable, line.reason))
        entry = self._entries.get(awaited.recording)
        if entry is None:
            return
        if isinstance(awaited.record, Ended):
            self._end_settled(entry, awaited.record, line)
        elif isinstance(awaited.record, Toggled) and awaited.record.opens and not line.durable:
            entry.live.refuse(awaited.record.number)
        if not line.awaited:
            entry.live.settle(line.ticket)

    def _end_settled(self, entry: _Entry, ended: Ended, line: Line) -> None:
        if not entry.closing:
            entry.failure = None if line.durable else line.reason
            self._close(entry, ended)

    def _close(self, entry: _Entry, ended: Ended) -> None:
        """The last flush: all that is left, or what may go where the end could not be journalled."""
        live, waiting = entry.live, entry.live.waiting_bytes
        pieces = live.take() if entry.failure else live.take_all(ended.duration_samples, ended.intervals)
        self._counters.backlog_bytes -= waiting - sum(len(each.frames) for each in pieces)
        self._audio.submit([Flush(live.header, pieces, live.handed, last=True)])
        entry.closing = True

    def _conclude(self, entry: _Entry, ended: Ended) -> None:
        """The file is written and closed."""
        header = entry.live.header
        reasons = tuple(dict.fromkeys((*ended.reasons, *entry.live.reasons)))
        told = replace(ended, reasons=reasons)
        if entry.failure:
            self._published(failure(header, told, entry.failure))
            return
        shard = _shard(header.recording_id)
        publish = partial(self._publishers[shard].submit, Job(header, told, entry.kept))
        if entry.kept:
            publish()
        else:  # a slow disk may not have begun the journal yet, and must not begin it afterwards
            self._journals[shard].submit(Forget(header.recording_id, publish))

    def _published(self, outcome: Outcome) -> None:
        entry = self._entries.pop(outcome.recording_id, None)
        if not self._entries:
            self._note_trouble("audio", None)  # the next recording may find a better disk
        failed = outcome.result == FAILED
        if outcome.audio is None:  # a line that the disk never took is not asked for any more
            self._awaited = {
                ticket: each
                for ticket, each in self._awaited.items()
                if each.recording != outcome.recording_id
            }
        self._counters.failed += failed
        self._counters.published += outcome.audio is not None
        self._note_trouble("publish", outcome.reasons[-1] if failed else None)
        self._journals[_shard(outcome.recording_id)].submit(Forget(outcome.recording_id))
        if entry is not None and entry.outcome is not None and not entry.outcome.done():
            entry.outcome.set_result(outcome)

    def _note_trouble(self, work: str, reason: str | None) -> None:
        if reason is None:
            self._troubles.pop(work, None)
        else:
            self._troubles[work] = reason

    def _crashed(self, error: Exception) -> None:
        self._troubles["thread"] = STORAGE_ERROR
        self._on_crash(error)

    def _resolved(self, value: T) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self._loop.create_future()
        future.set_result(value)
        return future

    def _abandon(self) -> None:
        """Nobody is left waiting."""
        for awaited in self._awaited.values():
            if not awaited.result.done():
                awaited.result.set_result(JournalResult(False, STORAGE_STOPPED))
        for entry in self._entries.values():
            if entry.ended and entry.outcome and not entry.outcome.done():
                entry.outcome.set_result(failure(entry.live.header, entry.ended, STORAGE_STOPPED))
        self._awaited.clear()
        self._entries.clear()


def _shard(recording: RecordingId) -> int:
    """All lines of one journal go through one thread, so that they stay in order."""
    return int(recording[-4:], 16) % SHARDS


def _join(workers: Sequence[AnyWorker]) -> list[AnyWorker]:
    """Those that ended in time."""
    deadline = time.monotonic() + _JOIN_S
    return [worker for worker in workers if worker.join(max(deadline - time.monotonic(), 0.0))]
