"""The relay benchmark: the same calls through each proxy in turn, with CPU, loss, delay and files."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.schedule import Stream
from mediaproxy.loadtest.traffic import Books, Traffic
from mediaproxy.loadtest.wire import PTIME_NS
from tests.bench.proxy import Call, Checked, ProxyUnderTest

_WARM_UP_S = 1.5  # after the last call has begun to talk


@dataclass(frozen=True, slots=True)
class Round:
    """One proxy, one load, one span of measuring."""

    proxy: str
    calls: int
    packets: int  # relayed within the span
    cpu_us_per_packet: float
    cores: float
    delay_us: tuple[float, float, float, float]  # p50, p99, p99.9, largest
    lost: int
    dropped_at_proxy: int
    altered: int
    sound: bool
    faultless: bool
    files: int
    files_expected: int
    faults: tuple[str, ...]
    generator_us_per_packet: float
    generator_late_ms: float
    others_cores: float  # busy on the machine beside proxy and generator
    stolen_cores: float


async def run_round(proxy: ProxyUnderTest, directory: Path, calls: int, seconds: float) -> Round:
    """Set up, send for `seconds` after a warm-up, tear down, check every recording."""
    traffic = Traffic(directory / "traffic")
    try:
        await proxy.start()
        planned = planned_calls(traffic, calls)
        streams = await proxy.set_up(planned)
        usage, spent_s = await _measure(proxy, traffic, streams, seconds)
        books = await traffic.finish()
        dropped = cpu.socket_drops(proxy.host)
        await proxy.tear_down(planned)
        checked = proxy.check(planned, traffic.packets, books.sent_ns[:, 0])
    finally:
        traffic.close()
        await proxy.stop()
    return _round(proxy.name, calls, usage, spent_s, dropped, books, checked)


def planned_calls(traffic: Traffic, count: int) -> list[Call]:
    return [
        Call(number, f"bench-{number}", (traffic.party(2 * number), traffic.party(2 * number + 1)))
        for number in range(count)
    ]


async def _measure(
    proxy: ProxyUnderTest, traffic: Traffic, streams: list[Stream], seconds: float
) -> tuple[cpu.Usage, float]:
    """The proxy's usage within the span, and the generator's CPU seconds in it."""
    await traffic.start(streams, _WARM_UP_S + seconds + 0.5)
    await asyncio.sleep(traffic.ramp_s + _WARM_UP_S)
    first, generator = cpu.read(proxy.pid), cpu.read(traffic.pid)
    await asyncio.sleep(seconds)
    second = cpu.read(proxy.pid)
    return cpu.between(first, second), cpu.between(generator, cpu.read(traffic.pid)).tree_s


def _round(
    name: str, calls: int, usage: cpu.Usage, generator_s: float, dropped: int, books: Books, checked: Checked
) -> Round:
    packets = books.arrivals_between(usage.start_ns, usage.end_ns)
    p50, p99, p999, largest = np.percentile(
        books.delays_us(usage.start_ns, usage.end_ns - PTIME_NS), [50, 99, 99.9, 100]
    ).tolist()
    return Round(
        proxy=name,
        calls=calls,
        packets=packets,
        cpu_us_per_packet=usage.tree_s * 1e6 / packets,
        cores=usage.tree_s / usage.seconds,
        delay_us=(p50, p99, p999, largest),
        lost=books.lost,
        dropped_at_proxy=dropped,
        altered=books.altered + books.foreign + books.misdirected + books.duplicate,
        sound=books.sound,
        faultless=books.faultless,
        files=checked.files,
        files_expected=checked.expected,
        faults=checked.faults,
        generator_us_per_packet=books.generator_cpu_us,
        generator_late_ms=books.late_ms,
        others_cores=(usage.busy_s - usage.tree_s - generator_s) / usage.seconds,
        stolen_cores=usage.stolen_s / usage.seconds,
    )
