"""The threads that work for the spool: one writes audio, some make journal lines durable, some publish
(several, because the kernel commits together what is synced at the same time), one looks whether the disk
is well. Between them and the loop go only values."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mediaproxy.ids import RecordingId
from mediaproxy.storage import audio, journals
from mediaproxy.storage.audio import AudioWriter, Flush, Flushed
from mediaproxy.storage.health import PROBE_S, Busy, HangWatch, Probe, Probed
from mediaproxy.storage.journals import Append, Forget, Journalled, JournalWriter
from mediaproxy.storage.outcome import Outcome
from mediaproxy.storage.publisher import Postponed, Publication, Publisher
from mediaproxy.storage.store import Storage
from mediaproxy.storage.worker import Worker

SHARDS = 4

_JOIN_S = 5.0  # for all threads together

T = TypeVar("T")
AnyWorker = Worker[list[Flush]] | Worker[Append | Forget] | Worker[Publication] | Worker[None]


@dataclass(frozen=True, slots=True)
class Reports:
    """What the threads tell, each on the loop."""

    flushed: Callable[[Flushed], None]
    journalled: Callable[[Journalled], None]
    published: Callable[[Outcome], None]
    postponed: Callable[[Postponed], None]
    probed: Callable[[Probed], None]
    crashed: Callable[[Exception], None]


class SpoolThreads:
    """Every method is called on `loop`, and none but `close` waits for anything."""

    def __init__(self, storage: Storage, loop: asyncio.AbstractEventLoop, reports: Reports) -> None:
        self._loop = loop
        crashed = partial(self._tell, reports.crashed)
        self._audio_writer = AudioWriter(storage, partial(self._tell, reports.flushed), crashed)
        self._journal_writers = [
            JournalWriter(storage, partial(self._tell, reports.journalled), crashed) for _ in range(SHARDS)
        ]
        published, postponed = (partial(self._tell, each) for each in (reports.published, reports.postponed))
        publisher = Publisher(storage, published, postponed, crashed)
        self._probe = Probe(storage, partial(self._tell, reports.probed))
        threads: dict[str, Busy] = {"audio": self._audio_writer, "probe": self._probe}
        threads |= {_journal(shard): writer for shard, writer in enumerate(self._journal_writers)}
        self._watch = HangWatch(threads)
        self._audio = Worker("audio", self._audio_writer.perform, crashed, idle_s=audio.RETRY_S)
        self._journals = [
            Worker("journal", writer.perform, crashed, idle_s=journals.RETRY_S)
            for writer in self._journal_writers
        ]
        self._publishers = [Worker("publish", publisher.perform, crashed) for _ in range(SHARDS)]
        self._prober: Worker[None] = Worker("probe", self._probe.perform, crashed, idle_s=PROBE_S)

    def write(self, flushes: list[Flush]) -> None:
        self._audio.submit(flushes)

    def journal(self, recording: RecordingId, asked: Append | Forget) -> None:
        self._journals[_shard(recording)].submit(asked)

    def publish(self, publication: Publication) -> None:
        self._publishers[_shard(publication.header.recording_id)].submit(publication)

    def probe_writes(self, *, suspicious: bool) -> None:
        """Whether to try the disk, or only to look how full it is."""
        self._probe.suspicious = suspicious

    def look(self) -> bool:
        """Whether another set of threads hangs than before."""
        return self._watch.look(time.monotonic())

    @property
    def hang(self) -> bool:
        return bool(self._watch.hung)

    @property
    def audio_hangs(self) -> bool:
        return "audio" in self._watch.hung

    def journal_hangs(self, recording: RecordingId) -> bool:
        return _journal(_shard(recording)) in self._watch.hung

    async def close(self) -> bool:
        """End them when they have done what was asked so far; whether all ended. Those that hang are left
        behind."""
        workers: list[AnyWorker] = [self._audio, *self._journals, *self._publishers, self._prober]
        writers: list[AudioWriter | JournalWriter] = [self._audio_writer, *self._journal_writers]
        for worker in workers:
            worker.stop()
        ended = await asyncio.to_thread(_join, workers)
        await asyncio.sleep(0)  # what the threads told last
        for worker, writer in zip(workers, writers, strict=False):  # the others hold nothing open
            if worker in ended:
                writer.close()
        return len(ended) == len(workers)

    def _tell(self, hear: Callable[[T], None], value: T) -> None:
        """From a thread to the loop; a loop that has ended hears nothing."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(hear, value)


def _journal(shard: int) -> str:
    return f"journal {shard}"


def _shard(recording: RecordingId) -> int:
    """All lines of one journal go through one thread, so that they stay in order."""
    return int(recording[-4:], 16) % SHARDS


def _join(workers: Sequence[AnyWorker]) -> list[AnyWorker]:
    """Those that ended in time."""
    deadline = time.monotonic() + _JOIN_S
    return [worker for worker in workers if worker.join(max(deadline - time.monotonic(), 0.0))]
