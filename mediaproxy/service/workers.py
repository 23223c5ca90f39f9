"""Media workers: several processes that relay and record, and look like one media loop from here.

A call is placed on the worker that has the fewest, and stays there. One that dies or hangs takes its calls
with it, and nobody else's: they are ended with a reason, their recordings go to whoever repairs after a
crash, and another worker takes its place.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

import structlog

from mediaproxy.audio.sound import Sound
from mediaproxy.calls.plane import (
    Allocate,
    AllocationFailed,
    MediaLost,
    PlaneEvent,
    PlaneOperation,
    Released,
)
from mediaproxy.clock import NS_PER_MS, NS_PER_S
from mediaproxy.errors import Misuse, Unavailable
from mediaproxy.ids import CallId
from mediaproxy.media.ports import slices
from mediaproxy.service import messages
from mediaproxy.service.media import Outward
from mediaproxy.service.media_loop import LoopSettings
from mediaproxy.service.mirror import Lost, MirroredRecordings
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.worker_process import MODULE, WorkerProcess
from mediaproxy.storage import SpoolStats

READY_S: Final = 30.0
CLOSE_S: Final = 20.0  # its recordings and its threads have less
QUICK_NS: Final = 10 * NS_PER_S  # one that lived no longer is not replaced at once
FIRST_DELAY_NS: Final = 250 * NS_PER_MS
MAX_DELAY_NS: Final = 10 * NS_PER_S
KILLED_S: Final = 1.0
POLL_S: Final = 0.02

WORKER_DIED = "media_worker_died"

log = structlog.get_logger()


@dataclass(slots=True)
class _Place:
    """Where a worker works, and another one when it is gone; number, ports and all else stay the same."""

    number: int
    settings: LoopSettings
    worker: WorkerProcess | None = None
    turn: int = 0  # when it was given its last call
    started_ns: int = 0
    quick_deaths: int = 0
    start_ns: int = 0  # not earlier
    rested_ns: int = 0  # a late sender of a call that was lost must not meet a new call at its port
    lost: list[Lost] | None = None  # when its calls have ended; to be repaired when nothing of it is left
    said: messages.Alive | None = None

    def takes_calls(self, now_ns: int) -> bool:
        return self.worker is not None and self.worker.responsive and now_ns >= self.rested_ns


class Workers:
    """Implements `service.media.Media`. `on_lost` gets the recordings of a worker that is gone, `on_left` is
    called when one is left behind in the disk, and may write yet."""

    def __init__(
        self,
        settings: Sequence[LoopSettings],
        directory: Path,
        sounds: Sounds,
        outward: Outward,
        on_lost: Callable[[list[Lost]], None],
        on_left: Callable[[], None],
        module: str = MODULE,
    ) -> None:
        self._module = module
        self._places = [_Place(number, each) for number, each in enumerate(settings, 1)]
        self._directory = directory
        self._sounds = sounds
        self._outward = outward
        self._on_lost = on_lost
        self._on_left = on_left
        self._calls: dict[CallId, WorkerProcess] = {}
        self._turns = count(1)
        self._starting: set[asyncio.Task[None]] = set()
        self._closing = False
        self.recordings = MirroredRecordings(self._calls.get)

    async def start(self) -> None:
        """All of them. Raises `Unavailable`."""
        await asyncio.gather(*(self._start(place) for place in self._places))
        deadline = asyncio.get_running_loop().time() + READY_S
        while self.ready < len(self._places):
            failed = len(self.workers) < len(self._places) or not all(each.alive for each in self.workers)
            if failed or asyncio.get_running_loop().time() > deadline:
                raise Unavailable("media.workers: a worker could not be started; the lines above say why")
            await asyncio.sleep(POLL_S)

    @property
    def workers(self) -> list[WorkerProcess]:
        """Those that there are now."""
        return [place.worker for place in self._places if place.worker is not None]

    @property
    def ready(self) -> int:
        """How many there are to relay and record."""
        return sum(worker.ready for worker in self.workers)

    @property
    def failing(self) -> str | None:
        return next((said.failing for said in self._said() if said.failing), None)

    @property
    def takes_calls(self) -> bool:
        return bool(self._open_places())

    def stats(self) -> SpoolStats:
        return SpoolStats.of_all(said.stats for said in self._said())

    def add_sounds(self, loaded: Mapping[str, Sound]) -> None:
        self._sounds.add(loaded)
        for worker in self.workers:
            _teach(worker, loaded)

    def perform(self, operation: PlaneOperation) -> None:
        if isinstance(operation, Allocate):
            return self._allocate(operation)
        worker = self._calls.get(operation.call)
        if worker is not None:
            worker.send(operation)
        return None

    def tick(self, now_ns: int) -> None:
        for place in self._places:
            if place.worker is not None:
                self._look(place, place.worker, now_ns)
            elif now_ns >= place.start_ns and not self._closing:
                self._run(self._start(place))

    async def close(self) -> None:
        self._closing = True
        for task in self._starting:
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        workers = self.workers
        for worker in workers:
            worker.send(messages.Close())
        await _gone(workers, CLOSE_S)
        for worker in workers:
            if not worker.is_gone():
                log.error("media_worker_left_behind", pid=worker.pid)
                worker.kill()
        await _gone(workers, KILLED_S)
        if not all(worker.is_gone() for worker in workers):
            self._on_left()
        for place in self._places:
            place.worker = None

    # -- calls

    def _allocate(self, operation: Allocate) -> None:
        if operation.call in self._calls:
            raise Misuse("ports were asked for twice")
        places = self._open_places()
        if not places:
            failed = AllocationFailed(operation.call, "no media worker is there")
            asyncio.get_running_loop().call_soon(self._outward.on_plane_event, failed)
            return
        place = min(places, key=_load)
        assert place.worker is not None
        place.turn = next(self._turns)
        place.worker.calls.add(operation.call)
        self._calls[operation.call] = place.worker
        place.worker.send(operation)

    def _open_places(self) -> list[_Place]:
        now_ns = monotonic_ns()
        return [place for place in self._places if not self._closing and place.takes_calls(now_ns)]

    def _forget(self, call: CallId) -> None:
        if worker := self._calls.pop(call, None):
            worker.calls.discard(call)

    # -- what workers say

    def _receive(self, place: _Place, worker: WorkerProcess, message: Any) -> None:
        out = self._outward
        match message:
            case messages.Ready():
                worker.ready = True
                if place.rested_ns:  # another one was here before
                    log.warning("media_worker_replaced", worker=place.number, pid=worker.pid)
            case messages.Alive(troubles=troubles):
                if troubles or (place.said is not None and place.said.troubles):
                    self.recordings.troubled(worker, troubles)
                place.said = message
            case messages.Published(type, call, recording, logged, fields):
                out.events.publish(type, call, recording, logged=logged, **fields)
            case messages.Indicated(call, word):
                out.indicate(call, word)
            case messages.Alarmed(event):
                out.counts.alarm(event)
            case messages.Finished(result):
                out.counts.recording_finished(result)
            case messages.RowPut(row):
                self.recordings.receive(message)
                out.put_row(row)
            case messages.Shown() | messages.EndTold() | messages.Reply():
                self.recordings.receive(message)
            case _:
                self._on_plane_event(message)

    def _on_plane_event(self, event: PlaneEvent) -> None:
        if isinstance(event, Released | AllocationFailed):
            self._forget(event.call)
        self._outward.on_plane_event(event)

    def _said(self) -> list[messages.Alive]:
        return [place.said for place in self._places if place.said is not None]

    # -- the lives of workers

    async def _start(self, place: _Place) -> None:
        worker = WorkerProcess(
            lambda worker, message: self._receive(place, worker, message),
            lambda worker: self._lost(place, worker),
            self._module,
        )
        place.worker, place.started_ns = worker, monotonic_ns()
        try:
            await worker.start()
        except OSError as error:  # no process, no memory
            log.error("media_worker_not_started", worker=place.number, why=error.strerror)
            place.worker = None
            return self._wait(place)
        worker.send(messages.Begin(place.number, self._directory, place.settings))
        return _teach(worker, self._sounds.loaded)

    def _look(self, place: _Place, worker: WorkerProcess, now_ns: int) -> None:
        worker.look(now_ns)
        if worker.alive or place.lost is None or not worker.is_gone():
            return
        place.worker = None
        lost, place.lost = place.lost, None
        if lost and not self._closing:
            self._on_lost(lost)

    def _lost(self, place: _Place, worker: WorkerProcess) -> None:
        """At once for its calls; its recordings wait until it can write no more."""
        place.said = None
        if self._closing:
            return
        calls, worker.calls = worker.calls, set()
        why = "hung" if worker.hung else "gone"
        log.error(WORKER_DIED, worker=place.number, pid=worker.pid, why=why, calls=len(calls))
        self._outward.counts.alarm(WORKER_DIED)
        self._outward.events.publish(
            "media.worker_died", None, worker=place.number, why=why, calls=len(calls)
        )
        loop = asyncio.get_running_loop()
        for call in calls:
            del self._calls[call]
            loop.call_soon(self._outward.on_plane_event, MediaLost(call))  # one's trouble is not the others'
        loop.call_soon(self._give_up, place, worker)
        self._wait(place)

    def _give_up(self, place: _Place, worker: WorkerProcess) -> None:
        place.lost = self.recordings.lose(worker)

    def _wait(self, place: _Place) -> None:
        """Before the next one: not at all, unless they die as soon as they live."""
        now_ns = monotonic_ns()
        quick = now_ns - place.started_ns < QUICK_NS
        place.quick_deaths = place.quick_deaths + 1 if quick else 0
        delay_ns = min(FIRST_DELAY_NS << min(place.quick_deaths, 16), MAX_DELAY_NS) if quick else 0
        place.start_ns = now_ns + delay_ns
        place.rested_ns = now_ns + round(place.settings.plane.quarantine_s * NS_PER_S)

    def _run(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)


def shares(settings: LoopSettings, workers: int) -> list[LoopSettings]:
    """What each of so many workers has: its own ports, and its part of the memory for audio that waits."""
    return [
        replace(
            settings,
            plane=replace(settings.plane, ports=ports),
            max_backlog_bytes=settings.max_backlog_bytes // workers,
        )
        for ports in slices(settings.plane.ports, workers)
    ]


def _load(place: _Place) -> tuple[int, int]:
    """The fewest calls; among equals whoever waits longest for one."""
    assert place.worker is not None
    return len(place.worker.calls), place.turn


def _teach(worker: WorkerProcess, sounds: Mapping[str, Sound]) -> None:
    for name, sound in sounds.items():
        worker.send(messages.AddSound(name, sound))


async def _gone(workers: Sequence[WorkerProcess], at_most_s: float) -> None:
    deadline = asyncio.get_running_loop().time() + at_most_s
    while not all(worker.is_gone() for worker in workers):
        await asyncio.sleep(POLL_S)
        if asyncio.get_running_loop().time() > deadline:
            return
