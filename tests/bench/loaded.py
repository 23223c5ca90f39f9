"""What the running proxy needs and how fast it obeys while many calls talk."""

import asyncio
import re
import time
from dataclasses import astuple
from pathlib import Path

import numpy as np
import psutil

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.traffic import Traffic
from tests.bench.ours import ON_DEMAND, Mediaproxy
from tests.bench.relay import planned_calls
from tests.bench.results import Held, Memory, Toggles

_WARM_UP_CALLS = 20
_TALK_S = 8.0
_TOGGLES = 150
_REST_S = 6.0  # ports rest before they are closed


async def measure_memory(directory: Path, calls: int) -> Memory:
    """Resident memory with `calls` recording calls talking, against the same process idle.

    A few calls come first, so that what is loaded and laid out once counts as idle. The same for descriptors,
    threads and tasks.
    """
    proxy = Mediaproxy(directory / "proxy")
    try:
        await proxy.start()
        await _talk(proxy, directory / "warm-up", _WARM_UP_CALLS)
        await asyncio.sleep(_REST_S)
        idle = await _held(proxy)
        loaded, files = await _talk(proxy, directory / "traffic", calls)
    finally:
        await proxy.stop()
    return Memory(calls, idle, loaded, files)


async def _held(proxy: Mediaproxy) -> Held:
    metrics = (await proxy.api.get("/metrics")).text
    tasks = re.search(r"^mediaproxy_loop_tasks (\S+)", metrics, re.MULTILINE)
    assert tasks is not None
    process = psutil.Process(proxy.pid)
    return Held(
        cpu.resident_bytes(proxy.pid), process.num_fds(), process.num_threads(), round(float(tasks[1]))
    )


async def _talk(proxy: Mediaproxy, directory: Path, calls: int) -> tuple[Held, int]:
    """Set up, talk for a while, hang up; the most of each that was held, and how many files were whole."""
    traffic = Traffic(directory)
    try:
        planned = planned_calls(traffic, calls)
        await traffic.start(await proxy.set_up(planned), _TALK_S)
        seen = []
        await asyncio.sleep(traffic.ramp_s)
        for _ in range(round(_TALK_S) - 1):
            await asyncio.sleep(1)
            seen.append(await _held(proxy))
        books = await traffic.finish()
        await proxy.tear_down(planned)
        checked = proxy.check(planned, traffic.packets, books.sent_ns[:, 0])
    finally:
        traffic.close()
    return Held(*(max(each) for each in zip(*map(astuple, seen), strict=True))), checked.files


async def measure_toggles(directory: Path, calls: int, workers: int = 0) -> Toggles:
    """Start recordings by API, call after call, then stop them again, while all of them talk."""
    proxy = Mediaproxy(directory / "proxy", ON_DEMAND, workers)
    traffic = Traffic(directory / "traffic")
    try:
        await proxy.start()
        planned = planned_calls(traffic, calls)
        await traffic.start(await proxy.set_up(planned), _TALK_S)
        await asyncio.sleep(traffic.ramp_s + 1)
        took_ms, effect_ms = await _toggle_many(proxy)
        books = await traffic.finish()
        await proxy.hang_up(planned)
    finally:
        traffic.close()
        await proxy.stop()
    p50, p99, largest = np.percentile(took_ms, [50, 99, 100]).tolist()
    p99_effect = float(np.percentile(effect_ms, 99))
    return Toggles(calls, len(took_ms), p50, p99, largest, books.lost, p99_effect, workers)


async def _toggle_many(proxy: Mediaproxy) -> tuple[list[float], list[float]]:
    """Milliseconds from each request to its reply, and to the instant on the call clock that it names."""
    calls = await proxy.live_calls()
    took_ms: list[float] = []
    effect_ms: list[float] = []
    until = time.monotonic() + _TALK_S - 2
    while len(took_ms) < _TOGGLES and time.monotonic() < until:
        turn = len(took_ms)
        action = "start" if turn // len(calls) % 2 == 0 else "stop"
        call, answered_s = calls[turn % len(calls)]
        began, began_s = time.monotonic(), time.time()
        reply = await proxy.api.post(f"/v1/calls/{call}/recording/{action}")
        took_ms.append((time.monotonic() - began) * 1000)
        if reply.status_code != 200 or not reply.json()["changed"]:
            raise RuntimeError(f"{action} was answered with {reply.status_code}")
        effect_ms.append((answered_s - began_s) * 1000 + reply.json()["effective_ms"])
        await asyncio.sleep(0.02)
    return took_ms, effect_ms
