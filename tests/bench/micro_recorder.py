"""What recording costs in all: from the ring to the files of many calls at once, and the memory it takes.

The calls talk on an invented clock, so a run takes no longer than its work; the files are real. What it
costs to fill the ring (the relay's doing) is left out.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TypeVar

import uvloop

from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.loadtest import wire
from mediaproxy.recording.journal import Header, Toggled
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import CALLS_AT_ONCE, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.window import BLOCK_ROWS
from mediaproxy.service.collector import Collector
from mediaproxy.service.taps import AT_ONCE
from mediaproxy.storage import Spool, Storage
from tests.bench import micro_drain
from tests.bench.results import Recording

CALLS = 1000
TICK_MS = 40
_REPEATS = 3
_RATE = 8_000
_PTIME_MS = 20
_ANSWERS_S = 500  # calls a second: what a call holds until its streams are anchored is no part of many calls
_WARM_UP_MS = 1_000  # the streams' anchors, and the first hand-outs
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") >> 10
_BY = Actor("policy")

T = TypeVar("T")


def measure_all() -> Recording:
    """Must run in a thread without an event loop."""
    runs = sorted((uvloop.run(measure()) for _ in range(_REPEATS)), key=lambda cost: cost.core_percent)
    return replace(
        runs[_REPEATS // 2], recorder_kb=measure_memory("recorder"), with_spool_kb=measure_memory("both")
    )


async def measure(calls: int = CALLS, tick_ms: int = TICK_MS, seconds: float = 3.0) -> Recording:
    """Both legs of every call talk, and every call is recorded."""
    async with _recording(calls) as (spool, names):
        Collector().settle()
        run = _Run(spool, names, tick_ms)
        await run.talk(_ramp_ms(calls) + _WARM_UP_MS)
        run.spent.clear()
        await run.talk(seconds * 1000)
    took = {name: spent_s / seconds * 100 for name, spent_s in run.spent.items()}
    return Recording(
        calls,
        place=took["place"],
        take=took["take"],
        hand_out=took["hand out"],
        flush=took["flush"],
        threads=took["threads"],
        recorder_kb=0.0,
        with_spool_kb=0.0,
    )


def measure_memory(who: str) -> float:
    """KB of resident memory that one more recorded call takes, between one and two blocks of windows: of the
    "recorder", whose audio nobody keeps, or of "both", it and the spool with its files."""
    return (_resident_with(2 * BLOCK_ROWS, who) - _resident_with(BLOCK_ROWS, who)) / BLOCK_ROWS


def _resident_with(calls: int, who: str) -> int:
    """KB of a process of its own."""
    command = [sys.executable, "-m", __name__, str(calls), who]
    return int(subprocess.run(command, check=True, capture_output=True, timeout=120).stdout)


async def _loaded(calls: int, who: str) -> int:
    if who == "recorder":
        return await _load(None, dict.fromkeys(range(1, calls + 1), _name(0)))
    async with _recording(calls) as (spool, names):
        return await _load(spool, names)


async def _load(spool: Spool | None, names: dict[int, RecordingId]) -> int:
    Collector().settle()
    run = _Run(spool, names, TICK_MS)
    await run.talk(_ramp_ms(len(names)) + _WARM_UP_MS)
    return run.most_kb


class _Run:
    """Calls that are answered one after the other, then talk for ever."""

    def __init__(self, spool: Spool | None, names: dict[int, RecordingId], tick_ms: int) -> None:
        self.spent: dict[str, float] = {}  # CPU seconds by name
        self.most_kb = 0
        self._spool, self._names = spool, names
        self._cycles_a_tick = tick_ms // _PTIME_MS
        self._cycle = 0
        self._recorder, self._ring = Recorder(), PacketRing(1 << 14)
        self._payload = wire.payload_table()[0].tobytes()
        self._waiting = list(names)
        self._talking: list[tuple[int, int]] = []  # generation, cycle of its answer

    async def talk(self, ms: float) -> None:
        for _ in range(round(ms) // _PTIME_MS):
            self._answer()
            self._fill()
            self._cycle += 1
            if self._cycle % self._cycles_a_tick == 0:
                await self._tick()

    async def _tick(self) -> None:
        others_s = time.process_time() - time.thread_time()
        while self._ring.used:  # as `service.taps` does
            self._spend("place", lambda: self._recorder.take(self._ring, AT_ONCE))
            if self._recorder.lags or not self._ring.used:
                writes = self._recorder.write_out()
                while some := self._spend("take", partial(_some_of, writes)):
                    self._spend("hand out", partial(self._hand_out, some))
        if self._spool is not None:
            await self._keep(self._spool)
        self.most_kb = max(self.most_kb, _resident_kb())
        others_s = time.process_time() - time.thread_time() - others_s
        self.spent["threads"] = self.spent.get("threads", 0.0) + others_s

    async def _keep(self, spool: Spool) -> None:
        self._spend("flush", lambda: spool.flush(self._cycle * wire.PTIME_NS))
        self.most_kb = max(self.most_kb, _resident_kb())
        while spool.backlog_bytes:
            await asyncio.sleep(0.001)

    def _hand_out(self, writes: list[Write]) -> None:
        spool = self._spool
        if spool is None:
            return
        for write in writes:
            if write.frames is None:
                spool.extend(self._names[write.generation], write.end)
            else:
                spool.write(self._names[write.generation], write.start, write.frames)

    def _answer(self) -> None:
        """Evenly, until all were."""
        fewest = (self._cycle + 1) * _PTIME_MS * _ANSWERS_S // 1000
        while self._waiting and len(self._talking) < fewest:
            generation = self._waiting.pop()
            micro_drain.arm(self._recorder, generation, self._cycle * wire.PTIME_NS)
            self._talking.append((generation, self._cycle))

    def _fill(self) -> None:
        """One packet of every leg, spread over four passes."""
        for quarter in range(4):
            now_ns = self._cycle * wire.PTIME_NS + quarter * wire.PTIME_NS // 4
            self._ring.begin_pass(now_ns)
            for generation, since in self._talking[quarter::4]:
                number = self._cycle - since
                for leg in (0, 1):
                    self._ring.put(
                        generation,
                        leg,
                        0,
                        0,
                        2 * generation + leg,
                        number,
                        number * 160,
                        now_ns,
                        self._payload,
                    )
            self._ring.end_pass(emptied=True)

    def _spend(self, name: str, work: Callable[[], T]) -> T:
        began = time.thread_time()
        result = work()
        self.spent[name] = self.spent.get(name, 0.0) + time.thread_time() - began
        return result


def _ramp_ms(calls: int) -> int:
    """Until so many calls are answered."""
    return calls * 1000 // _ANSWERS_S


def _some_of(writes: Iterator[Write]) -> list[Write]:
    return list(islice(writes, CALLS_AT_ONCE))


def _resident_kb() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_KB


@asynccontextmanager
async def _recording(calls: int) -> AsyncIterator[tuple[Spool, dict[int, RecordingId]]]:
    directory = Path(tempfile.mkdtemp(prefix="mediaproxy-bench-"))
    storage = Storage.open(directory, min_free_bytes=0)
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=_crashed)
    names = {number: _name(number) for number in range(1, calls + 1)}
    try:
        await asyncio.gather(*(spool.create(_header(name)) for name in names.values()))
        opened = Toggled(1, 0, "start", _BY, "recording")
        await asyncio.gather(*(spool.toggle(name, opened) for name in names.values()))
        yield spool, names
    finally:
        await spool.close()
        storage.close()
        shutil.rmtree(directory)


def _name(number: int) -> RecordingId:
    return RecordingId(uuid7(1, number.to_bytes(10, "big")))


def _header(name: RecordingId) -> Header:
    return Header(name, CallId(name), "bench", 1, _RATE, "automatic")


def _crashed(error: Exception) -> None:
    raise error


if __name__ == "__main__":
    print(uvloop.run(_loaded(int(sys.argv[1]), sys.argv[2])))
