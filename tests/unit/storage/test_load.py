"""Five hundred live recordings: toggles stay quick beside the audio, and nothing is lost."""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest

from mediaproxy.recording.journal import Ended
from mediaproxy.storage import Spool, Storage, verify
from tests.support.recordings import header_of, interval, recording_id, speech, toggled

CALLS = 500
DRAIN_S, STEP = 0.05, 400
DRAINS = 40
TOGGLES_PER_DRAIN = 5
DURABLE_P99_S = 0.020
BARE_FACTOR = 3  # on a machine that is busy with other things: against a bare append and fsync


class Traffic:
    """Every recording gets 50 ms of audio each 50 ms; a few are toggled at random instants."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.names = [recording_id(n) for n in range(1, CALLS + 1)]
        self.audio = speech(0, STEP).tobytes()
        self.numbers = dict.fromkeys(self.names, 1)
        self.latencies: list[float] = []
        self.rng = random.Random(1)

    def drain(self, turn: int) -> None:
        for name in self.names:
            self.spool.write(name, turn * STEP, self.audio)
        self.spool.flush(time.monotonic_ns())

    async def toggle(self, position: int) -> None:
        await asyncio.sleep(self.rng.random() * DRAIN_S)
        name = self.rng.choice(self.names)
        self.numbers[name] += 1
        state = "recording" if self.numbers[name] % 2 else "paused"
        began = time.monotonic()
        assert (await self.spool.toggle(name, toggled(self.numbers[name], position, state))).durable
        self.latencies.append(time.monotonic() - began)


class Bare:
    """What the same machine needs at the same time for one bare append and fsync, there and back."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)
        self.latencies: list[float] = []

    def _append(self) -> None:
        self._file.write(b"x" * 150)
        os.fdatasync(self._file.fileno())

    async def run(self) -> None:
        for _ in range(DRAINS * TOGGLES_PER_DRAIN):
            began = time.monotonic()
            await asyncio.to_thread(self._append)
            self.latencies.append(time.monotonic() - began)
            await asyncio.sleep(DRAIN_S / TOGGLES_PER_DRAIN)
        self._file.close()


def p99(latencies: list[float]) -> float:
    return sorted(latencies)[len(latencies) * 99 // 100]


async def measured(spool: Spool, bare: Bare) -> float:
    """Runs the traffic; returns the 99th percentile of a toggle's way to durable and back, in s."""
    traffic = Traffic(spool)
    await asyncio.gather(*(spool.create(header_of(n)) for n in range(1, CALLS + 1)))
    opened = [spool.toggle(name, toggled(1, 0, "recording")) for name in traffic.names]
    assert all(result.durable for result in await asyncio.gather(*opened))
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(bare.run())
        for turn in range(DRAINS):
            traffic.drain(turn)
            for _ in range(TOGGLES_PER_DRAIN):
                group.create_task(traffic.toggle((turn + 9) * STEP))
            await asyncio.sleep(max(0.0, began + (turn + 1) * DRAIN_S - time.monotonic()))
    return p99(traffic.latencies)


@pytest.mark.slow
async def test_toggles_are_durable_in_time_beside_the_audio(spool: Spool, storage: Storage) -> None:
    bare = Bare(storage.root / "bare")
    toggle_s = await measured(spool, bare)
    bare_s = p99(bare.latencies)
    assert toggle_s <= max(DURABLE_P99_S, BARE_FACTOR * bare_s), f"{toggle_s:.4f} s, bare {bare_s:.4f} s"
    assert spool.stats().lost_samples == 0
    end = DRAINS * STEP
    names = [recording_id(n) for n in range(1, CALLS + 1)]
    endings = [spool.finish(name, Ended(end, (interval(0, end),))) for name in names]
    outcomes = await asyncio.gather(*endings)
    assert {outcome.result for outcome in outcomes} == {"complete"}
    verdicts = list(verify([storage.root]))
    assert len(verdicts) == CALLS
    assert all(verdict.ok for verdict in verdicts)
