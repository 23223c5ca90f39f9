"""Where calls are placed, and what becomes of them when a worker dies; the workers are processes."""

import asyncio
import itertools
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from mediaproxy.calls.plane import Allocate, Allocated, AllocationFailed, MediaLost, Release, Released
from mediaproxy.errors import Misuse
from mediaproxy.ids import CallId
from mediaproxy.media.plane import PlaneSettings
from mediaproxy.media.ports import slices
from mediaproxy.net import Family
from mediaproxy.observe import Metrics
from mediaproxy.service.live import Settings
from mediaproxy.service.media import Outward
from mediaproxy.service.media_loop import LoopSettings
from mediaproxy.service.sounds import Sounds
from mediaproxy.service.workers import Workers, shares
from tests.support.live_world import silent_events
from tests.support.plane_worker import MODULE

HOST = {Family.IPV4: "127.0.0.21"}
SETTINGS = LoopSettings(
    PlaneSettings(HOST, HOST, range(31_100, 31_140), quarantine_s=0.3),
    Settings(8_000, keep_unrecorded=False, record_on_hold=True, confirmation_tone=False),
    1 << 20,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("the very ports")]


@dataclass
class Heard:
    events: list[Any] = field(default_factory=list)
    metrics: Metrics = field(default_factory=Metrics)

    @property
    def outward(self) -> Outward:
        return Outward(
            self.events.append, lambda row: None, lambda call, word: None, silent_events(), self.metrics
        )

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@asynccontextmanager
async def workers(count: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Workers, Heard]]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    heard = Heard()
    running = Workers(
        shares(SETTINGS, count),
        Path("/nowhere"),
        Sounds({}),
        heard.outward,
        lambda lost: None,
        lambda: None,
        MODULE,
    )
    try:
        await running.start()
        yield running, heard
    finally:
        await running.close()


async def ticking_until(running: Workers, condition: Any, seconds: float = 60.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            running.tick(time.monotonic_ns())
            await asyncio.sleep(0.01)


def calls(running: Workers) -> list[int]:
    return [len(worker.calls) for worker in running.workers]


async def test_calls_go_to_who_has_the_fewest_and_in_turn_among_equals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workers(2, monkeypatch) as (running, heard):
        for n in range(6):
            running.perform(Allocate(CallId(f"c{n}"), n))
        assert calls(running) == [3, 3]
        with pytest.raises(Misuse):
            running.perform(Allocate(CallId("c0"), 9))
        await ticking_until(running, lambda: len(heard.of(Allocated)) == 6)
        low = {e.call for e in heard.of(Allocated) if e.local[0].port < 31_120}
        assert low == {"c0", "c2", "c4"}
        for call in ("c1", "c3"):
            running.perform(Release(CallId(call)))
        await ticking_until(running, lambda: len(heard.of(Released)) == 2)
        assert calls(running) == [3, 1]
        for n in range(6, 8):
            running.perform(Allocate(CallId(f"c{n}"), n))
        assert calls(running) == [3, 3]


async def test_one_that_dies_loses_its_calls_and_is_replaced_when_its_ports_have_rested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with workers(2, monkeypatch) as (running, heard):
        for n in range(4):
            running.perform(Allocate(CallId(f"c{n}"), n))
        victim, other = running.workers
        os.kill(victim.pid, signal.SIGKILL)
        await ticking_until(running, lambda: len(heard.of(MediaLost)) == 2)
        assert {event.call for event in heard.of(MediaLost)} == {"c0", "c2"}
        running.perform(Release(CallId("c0")))  # of whom nobody knows any more
        running.perform(Allocate(CallId("c4"), 4))
        assert len(other.calls) == 3
        await ticking_until(running, lambda: running.ready == 2)
        assert victim not in running.workers
        numbers = itertools.count(5)

        def goes_to_the_new_one() -> bool:  # unless a busy machine keeps it from saying that it is well
            number = next(numbers)
            running.perform(Allocate(CallId(f"c{number}"), number))
            return f"c{number}" not in other.calls

        await ticking_until(running, goes_to_the_new_one)
        await ticking_until(running, lambda: {"c4", "c5"} <= {e.call for e in heard.of(Allocated)})


async def test_without_one_there_are_no_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(1, monkeypatch) as (running, heard):
        os.kill(running.workers[0].pid, signal.SIGKILL)
        await ticking_until(running, lambda: not running.ready)
        running.perform(Allocate(CallId("c"), 1))
        assert not heard.events
        await asyncio.sleep(0)
        assert [type(event) for event in heard.events] == [AllocationFailed]


async def test_closing_ends_the_processes_and_frees_their_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    async with workers(2, monkeypatch) as (running, heard):
        running.perform(Allocate(CallId("c"), 1))
        await ticking_until(running, lambda: heard.events)
        pids = [worker.pid for worker in running.workers]
        await running.close()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(heard.events[0].local[0])


@pytest.mark.parametrize(
    ("ports", "count", "expected"),
    [
        (range(20_000, 30_000), 2, [range(20_000, 25_000), range(25_000, 30_000)]),
        (range(20_001, 20_012), 2, [range(20_002, 20_006), range(20_006, 20_010)]),
        (range(20_000, 20_014), 3, [range(20_000, 20_004), range(20_004, 20_008), range(20_008, 20_012)]),
        (range(20_000, 20_002), 2, [range(20_000, 20_000), range(20_000, 20_000)]),
    ],
)
def test_ports_are_shared_out_in_pairs(ports: range, count: int, expected: list[range]) -> None:
    assert slices(ports, count) == expected
