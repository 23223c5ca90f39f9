"""The spool: what the loop asks of the disk, without ever waiting for it.

Threads work for it (`storage.threads`). A disk that fails or hangs costs memory first: audio waits, all of
it together up to the backlog, and goes to its place when the disk takes it again. Beyond that it costs audio
(silence, counted, the recording degraded), and openings (refused); never the loop's time.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TypeVar

from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import RecordingId
from mediaproxy.recording.journal import Annulled, Ended, Header, Present, Record, Toggled
from mediaproxy.recording.manifest import Participant
from mediaproxy.recording.wav import FRAME_BYTES
from mediaproxy.storage.audio import Flush, Flushed
from mediaproxy.storage.disk import STORAGE_ERROR, STORAGE_HUNG
from mediaproxy.storage.entries import Awaited, Counters, Entry, JournalResult, SpoolStats
from mediaproxy.storage.health import Probed, Troubles
from mediaproxy.storage.journals import UNKNOWN, Append, Forget, Journalled, Line
from mediaproxy.storage.live import LiveRecording
from mediaproxy.storage.outcome import FAILED, Outcome
from mediaproxy.storage.postponed import PostponedPublications
from mediaproxy.storage.publisher import Postponed, Publication, failure
from mediaproxy.storage.store import Storage
from mediaproxy.storage.threads import Reports, SpoolThreads
from mediaproxy.storage.wheel import Wheel

HEADER_NS = 400 * NS_PER_MS  # how often the header of a file that grows without audio is made true
MAX_BACKLOG_BYTES = 256 << 20
STORAGE_BACKLOG = "storage_backlog"
STORAGE_STOPPED = "storage_stopped"

T = TypeVar("T")


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
        self._entries: dict[RecordingId, Entry] = {}
        self._wheel = Wheel[Entry](HEADER_NS)
        self._dirty: list[Entry] = []
        self._awaited: dict[int, Awaited] = {}
        self._postponed = PostponedPublications()
        self._tickets = count(1)
        self._troubles = Troubles()
        self._counters = Counters()
        self._threads = SpoolThreads(
            storage,
            loop,
            Reports(
                flushed=self._flushed,
                journalled=self._journalled,
                published=self._published,
                postponed=self._could_not_publish,
                probed=self._probed,
                crashed=self._crashed,
            ),
        )

    @property
    def failing(self) -> str | None:
        """The fixed word for what is wrong with the disk at present."""
        return self._troubles.first

    @property
    def backlog_bytes(self) -> int:
        """Audio that waits, in whatever place."""
        return self._counters.backlog_bytes

    def trouble_of(self, recording: RecordingId) -> str | None:
        """Why the audio of a live recording cannot reach the disk at present."""
        if not self._troubles:
            return None
        entry = self._entries.get(recording)
        if entry is None or entry.closing:
            return None
        return entry.lost_line or entry.stands or entry.unjournalled or self._hold_up(entry)

    def stats(self) -> SpoolStats:
        counters = self._counters
        slowest = sorted(counters.fsync_s)
        return SpoolStats(
            live=len(self._entries),
            backlog_bytes=counters.backlog_bytes,
            max_backlog_bytes=self._max_backlog_bytes,
            standing=sum(bool(self.trouble_of(each)) for each in self._entries) if self._troubles else 0,
            postponed=len(self._postponed),
            lost_samples=counters.lost_samples,
            published=counters.published,
            failed=counters.failed,
            fsync_p99_ms=slowest[len(slowest) * 99 // 100] * 1000 if slowest else 0.0,
        )

    def create(self, header: Header) -> asyncio.Future[JournalResult]:
        """Begin a journal and a live file. Tried again while the disk refuses; audio waits for it."""
        ticket, result = self._append(header.recording_id, header)
        entry = Entry(LiveRecording(header), ticket)
        entry.live.await_header(ticket)
        self._entries[header.recording_id] = entry
        self._wheel.add(ticket, entry)
        return result

    def toggle(
        self, recording: RecordingId, toggled: Toggled, *, insist: bool = False
    ) -> asyncio.Future[JournalResult]:
        """Journal a change of state. The file does not grow beyond it before it is durable.

        An opening that is not durable did not happen: its line is off the disk, its audio dropped. With
        `insist` it is tried again like any other line, and its audio waits (the policy's own opening:
        nobody is told yet that it is open).
        """
        entry = self._open_entry(recording)
        if entry is None:
            return self._resolved(JournalResult(False, UNKNOWN))
        ticket, result = self._append(recording, toggled, must=insist or not toggled.opens)
        entry.live.await_toggle(ticket, toggled)
        return result

    def annul(self, recording: RecordingId, number: int) -> None:
        """Undo an opening that was refused, for taking too long say, however its line fares."""
        if entry := self._open_entry(recording):
            ticket, _ = self._append(recording, Annulled(number))
            entry.live.await_annulment(ticket, number)

    def present(self, recording: RecordingId, participants: tuple[Participant, ...]) -> None:
        """Journal who is on the call from now on; nothing waits for it."""
        if self._open_entry(recording):
            self._append(recording, Present(participants))

    def write(self, recording: RecordingId, first_frame: int, frames: bytes | memoryview) -> None:
        """Final audio: interleaved 16-bit little-endian stereo from `first_frame` on."""
        entry = self._entries.get(recording)
        if entry is None or entry.ended:
            return
        size = len(frames)
        if entry.lost_line or self._counters.backlog_bytes + size > self._max_backlog_bytes:
            entry.live.extend(first_frame + size // FRAME_BYTES)
            self._lose(entry, size // FRAME_BYTES, entry.lost_line or STORAGE_BACKLOG)
            return
        self._counters.backlog_bytes += size
        entry.live.write(first_frame, frames)
        self._mark(entry)

    def extend(self, recording: RecordingId, frames: int) -> None:
        """The recording is final up to `frames`; where nothing was written it is silent."""
        if entry := self._open_entry(recording):
            entry.live.extend(frames)

    def flush(self, now_ns: int) -> None:
        """Hand over audio as it comes, so that little waits in memory, and lengths when they are due; call
        it with every drain. `now_ns` is monotonic."""
        flushes = list(self._flushes(now_ns))
        if flushes:
            self._threads.write(flushes)
        if self._threads.look():
            self._note_trouble("hung", STORAGE_HUNG if self._threads.hang else None)

    def finish(self, recording: RecordingId, ended: Ended) -> asyncio.Future[Outcome]:
        """The call is over: publish. With no interval there is no file, unless it is to be kept.

        Audio outside `ended.intervals` that still waits is dropped. Resolves when the audio may be
        downloaded: while the disk refuses anything of it, it is tried again.
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
        if not await self._threads.close():
            self._storage.keep()
        self._abandon()

    def _open_entry(self, recording: RecordingId) -> Entry | None:
        """Absent when the recording is not known or already finishing: commands race with ends."""
        entry = self._entries.get(recording)
        return None if entry is None or entry.ended else entry

    def _append(
        self, recording: RecordingId, record: Record, *, must: bool = True
    ) -> tuple[int, asyncio.Future[JournalResult]]:
        ticket = next(self._tickets)
        result: asyncio.Future[JournalResult] = self._loop.create_future()
        patient = must and isinstance(record, Toggled) and record.opens
        self._awaited[ticket] = Awaited(recording, record, result, patient)
        self._threads.journal(recording, Append(ticket, recording, record, must))
        return ticket, result

    def _mark(self, entry: Entry) -> None:
        if not entry.dirty:
            entry.dirty = True
            self._dirty.append(entry)

    def _flushes(self, now_ns: int) -> Iterator[Flush]:
        """With audio goes its promise, at once; the wheel is for those whose length alone moves on."""
        dirty, self._dirty = self._dirty, []
        for entry in dirty:
            entry.dirty = False
            if not entry.ended and (flush := self._taken(entry)):
                yield flush
        for entry in self._wheel.due(now_ns):
            if entry.live.frames > entry.promised and not entry.ended and (flush := self._taken(entry)):
                yield flush

    def _taken(self, entry: Entry) -> Flush | None:
        live, waiting = entry.live, entry.live.waiting_bytes
        pieces = live.take()
        sent = 0
        for piece in pieces:
            sent += len(piece.frames)
        self._counters.backlog_bytes -= waiting - live.waiting_bytes - sent  # refused audio
        if not pieces and live.handed <= entry.promised:
            return None
        entry.promised = live.handed
        return Flush(live.header, pieces, live.handed, False, entry.lines)

    def _hold_up(self, entry: Entry) -> str | None:
        """What no thread has said of this recording, but is plain to see."""
        recording = entry.live.header.recording_id
        if self._threads.audio_hangs or (entry.live.awaits and self._threads.journal_hangs(recording)):
            return STORAGE_HUNG
        full = self._counters.backlog_bytes > self._max_backlog_bytes * 9 // 10
        return STORAGE_BACKLOG if full and STORAGE_BACKLOG in entry.live.reasons else None

    def _lose(self, entry: Entry, samples: int, reason: str) -> None:
        self._counters.lost_samples += samples
        entry.live.lose(samples, reason)

    def _flushed(self, flushed: Flushed) -> None:
        self._counters.backlog_bytes -= flushed.audio_bytes
        for recording, reason in flushed.troubles.items():
            if entry := self._entries.get(recording):
                entry.stands = reason
        for recording, lost_bytes in flushed.lost_bytes.items():
            if entry := self._entries.get(recording):
                self._lose(entry, lost_bytes // FRAME_BYTES, STORAGE_ERROR)
        if flushed.troubles:
            self._sum_up()
        for recording in flushed.closed:
            entry = self._entries.get(recording)
            if entry is not None and entry.ended is not None:
                self._conclude(entry, entry.ended)

    def _journalled(self, journalled: Journalled) -> None:
        if journalled.fsync_s is not None:
            self._counters.fsync_s.append(journalled.fsync_s)
        entry = self._entries.get(journalled.recording)
        if entry is not None and entry.unjournalled != journalled.waits_for:
            entry.unjournalled = journalled.waits_for
            self._sum_up()
        for line in journalled.lines:
            self._settle(line)

    def _sum_up(self) -> None:
        """After a change of what waits for the disk."""
        entries = self._entries.values()
        self._note_trouble("audio", next((e.stands for e in entries if e.stands), None))
        self._note_trouble("journal", next((e.unjournalled for e in entries if e.unjournalled), None))

    def _probed(self, probed: Probed) -> None:
        self._note_trouble("space", probed.space)
        self._note_trouble("probe", probed.refused)
        if probed.wrote:
            self._note_trouble("refused", None)
            for publication in self._postponed.due(self._loop.time()):
                self._threads.publish(publication)

    def _settle(self, line: Line) -> None:
        """Answer who waits for the line, once; the file waits on for a line that must be written."""
        awaited = self._awaited.get(line.ticket)
        if awaited is None:  # tried again after its recording was given up
            return
        if not line.awaited:
            del self._awaited[line.ticket]
        if not awaited.result.done() and not (awaited.patient and line.awaited):
            awaited.result.set_result(JournalResult(line.durable, line.reason))
        entry = self._entries.get(awaited.recording)
        if entry is None:
            return
        entry.lines += line.durable
        if line.lost:
            entry.lost_line = line.reason
        elif not line.awaited:
            entry.live.settle(line.ticket)
            self._mark(entry)
        if isinstance(awaited.record, Ended):
            self._end_settled(entry, awaited.record, line)
        elif isinstance(awaited.record, Toggled) and awaited.record.opens and _is_refused(awaited, line):
            entry.live.refuse(awaited.record.number)
            self._note_trouble("refused", line.reason)

    def _end_settled(self, entry: Entry, ended: Ended, line: Line) -> None:
        if not entry.closing and not line.awaited:
            self._close(entry, ended)

    def _close(self, entry: Entry, ended: Ended) -> None:
        """The last flush: all that is left, or what may go where the end could not be journalled."""
        live, waiting = entry.live, entry.live.waiting_bytes
        pieces = live.take() if entry.lost_line else live.take_all(ended.duration_samples, ended.intervals)
        self._counters.backlog_bytes -= waiting - sum(len(each.frames) for each in pieces)
        frames = live.handed if entry.kept else 0  # a file that is to go may not even be there
        self._threads.write([Flush(live.header, pieces, frames, last=True, lines=entry.lines)])
        entry.closing = True

    def _conclude(self, entry: Entry, ended: Ended) -> None:
        """The file is written and closed."""
        header = entry.live.header
        reasons = tuple(dict.fromkeys((*ended.reasons, *entry.live.reasons)))
        told = replace(ended, reasons=reasons)
        if entry.lost_line:
            self._published(failure(header, told, entry.lost_line))
            return
        publish = partial(self._threads.publish, Publication(header, told, entry.kept))
        if entry.kept:
            publish()
        else:  # a slow disk may not have begun the journal yet, and must not begin it afterwards
            self._threads.journal(header.recording_id, Forget(header.recording_id, publish))

    def _could_not_publish(self, postponed: Postponed) -> None:
        self._postponed.add(postponed.publication, postponed.reason, self._loop.time())
        self._note_trouble("publish", postponed.reason)

    def _published(self, outcome: Outcome) -> None:
        recording = outcome.recording_id
        entry = self._entries.pop(recording, None)
        failed = outcome.result == FAILED
        if outcome.audio is None:  # a line that the disk never took is not asked for any more
            for ticket in [t for t, each in self._awaited.items() if each.recording == recording]:
                del self._awaited[ticket]
        self._counters.failed += failed
        self._counters.published += outcome.audio is not None
        self._postponed.forget(recording)
        self._note_trouble("publish", self._postponed.reason)
        self._threads.journal(recording, Forget(recording))
        if entry is not None:
            self._wheel.remove(entry.number)
            if entry.stands or entry.unjournalled:
                self._sum_up()
            if entry.outcome is not None and not entry.outcome.done():
                entry.outcome.set_result(outcome)

    def _note_trouble(self, work: str, reason: str | None) -> None:
        self._troubles.note(work, reason)
        self._threads.probe_writes(suspicious=bool(self._troubles))

    def _crashed(self, error: Exception) -> None:
        self._note_trouble("refused", STORAGE_ERROR)
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


def _is_refused(awaited: Awaited, line: Line) -> bool:
    return not line.durable and not (awaited.patient and line.awaited)
