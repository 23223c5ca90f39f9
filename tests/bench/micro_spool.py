"""The spool alone: audio of many calls from hand-out to file, with headers and lengths, on a real disk."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mediaproxy.clock import NS_PER_MS
from mediaproxy.ids import CallId, RecordingId, uuid7
from mediaproxy.loadtest import wire
from mediaproxy.recording.journal import Header, Toggled
from mediaproxy.recording.manifest import Actor
from mediaproxy.storage import Spool, Storage

CALLS = 1000
TICK_MS = 40
HAND_OUT_MS = 240
_RATE = 8_000
_SECONDS = 3
_TICKS = _SECONDS * 1000 // TICK_MS
_TOGGLES = 500
_BY = Actor("api", "bench")


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU of all threads: of a core in percent, and microseconds a hand-out."""

    core_percent: float
    hand_out_us: float


async def measure_writing() -> Cost:
    """Every call talks on both legs and is recorded."""
    async with _recording(CALLS) as (spool, names):
        groups = HAND_OUT_MS // TICK_MS
        frames = HAND_OUT_MS * _RATE // 1000
        audio = wire.payload_table()[0].tobytes()
        audio = (audio * (frames * 4 // len(audio) + 1))[: frames * 4]
        began = time.process_time()
        for tick in range(_TICKS):
            at = tick // groups * frames
            for name in names[tick % groups :: groups]:
                spool.write(name, at, audio)
            await _flushed(spool, tick)
        spent_s = time.process_time() - began
    return Cost(spent_s / _SECONDS * 100, spent_s / (_TICKS * CALLS / groups) * 1e6)


async def measure_silence() -> Cost:
    """Every call's gate is closed: only lengths and headers move on."""
    async with _recording(CALLS) as (spool, names):
        began = time.process_time()
        for tick in range(_TICKS):
            frames = (tick + 1) * TICK_MS * _RATE // 1000
            for name in names[tick % 6 :: 6]:
                spool.extend(name, frames)
            await _flushed(spool, tick)
            await asyncio.sleep(0.001)
        spent_s = time.process_time() - began
    return Cost(spent_s / _SECONDS * 100, spent_s / (_TICKS * CALLS / 6) * 1e6)


async def measure_toggle(calls: int, before: int) -> float:
    """CPU microseconds of one toggle among `calls` recordings and after `before` toggles, its journal line
    durable."""
    async with _recording(calls) as (spool, names):
        for number in range(2, before + 2):
            spool.toggle(names[0], _toggled(number))
        await spool.toggle(names[0], _toggled(before + 2))
        began = time.process_time()
        for number in range(before + 3, before + 3 + _TOGGLES):
            await spool.toggle(names[0], _toggled(number))
        return (time.process_time() - began) / _TOGGLES * 1e6


@asynccontextmanager
async def _recording(calls: int) -> AsyncIterator[tuple[Spool, list[RecordingId]]]:
    directory = Path(tempfile.mkdtemp(prefix="mediaproxy-bench-"))
    storage = Storage.open(directory, min_free_bytes=0)
    spool = Spool(storage, asyncio.get_running_loop(), on_crash=_crashed)
    names = [RecordingId(uuid7(1, number.to_bytes(10, "big"))) for number in range(calls)]
    try:
        await asyncio.gather(*(spool.create(_header(name)) for name in names))
        await asyncio.gather(*(spool.toggle(name, _toggled(1)) for name in names))
        yield spool, names
    finally:
        await spool.close()
        storage.close()
        shutil.rmtree(directory)


async def _flushed(spool: Spool, tick: int) -> None:
    """In the files, as it is in life before the next tick."""
    spool.flush(tick * TICK_MS * NS_PER_MS)
    while spool.backlog_bytes:
        await asyncio.sleep(0.001)


def _toggled(number: int) -> Toggled:
    return Toggled(number, 0, "toggle", _BY, "recording" if number % 2 else "paused")


def _header(name: RecordingId) -> Header:
    return Header(name, CallId(name), "bench", 1, _RATE, "on_demand")


def _crashed(error: Exception) -> None:
    raise error


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(measure_writing()), uvloop.run(measure_silence()))
    for calls, before in ((10, 0), (1000, 0), (10, 5000)):
        print(calls, before, uvloop.run(measure_toggle(calls, before)))
