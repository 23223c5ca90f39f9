"""Single operations, each against a yardstick measured in the same run."""

import json
import time
from collections.abc import Callable, Iterator
from statistics import median

import uvloop

from mediaproxy.calls.plane import Tap
from mediaproxy.sip.parser import parse_message
from tests.bench import micro_drain, micro_plane, micro_spool
from tests.bench.results import Micro
from tests.bench.samples import INVITE

_LASTING_S = 0.3
_REPEATS = 5


def measure() -> list[Micro]:
    """Every operation in turn; must run in a thread without an event loop."""
    yardstick_us = _cost_us(_yardstick())
    return [Micro(name, took, took / yardstick_us, note) for name, took, note in _operations()]


def _operations() -> Iterator[tuple[str, float, str]]:
    yield (
        "parse an INVITE",
        _cost_us(lambda: parse_message(INVITE)),
        f"{len(INVITE)} bytes with a description",
    )
    relay_us = uvloop.run(micro_plane.measure(Tap.OFF))
    yield "relay a packet", relay_us, "in bursts; without the cost of sending it there and taking it off"
    for tap in (Tap.HEADERS, Tap.PAYLOAD):
        with_tap_us = uvloop.run(micro_plane.measure(tap))
        yield (
            f"relay and tap a packet ({tap.name.lower()})",
            with_tap_us,
            f"{with_tap_us / relay_us:.2f} × untapped",
        )
    in_python_us = uvloop.run(micro_plane.measure(Tap.PAYLOAD, compiled=False))
    yield (
        "the same without the compiled helper",
        in_python_us,
        f"{in_python_us / relay_us:.2f} × untapped with it",
    )
    for calls in (20, 200, 500):
        note = f"{calls} calls, from ring to frames, drained every {micro_drain.PERIOD_MS} ms"
        yield "drain a packet", micro_drain.measure(calls), note
    for before in (0, 5_000):
        note = f"of 200, without the journal, toggled {before} times before"
        yield "toggle a recording in memory", micro_drain.measure_toggle(before), note
    yield from _spool_operations()


def _spool_operations() -> Iterator[tuple[str, float, str]]:
    calls = micro_spool.CALLS
    for name, measure_it in (
        ("write a hand-out of audio", micro_spool.measure_writing),
        ("lengthen a silent file", micro_spool.measure_silence),
    ):
        cost = uvloop.run(measure_it())
        yield (
            name,
            cost.hand_out_us,
            f"{calls} live files cost {cost.core_percent:.1f} % of a core, all threads",
        )
    for count, before in ((10, 0), (calls, 0), (10, 5 * calls)):
        took_us = uvloop.run(micro_spool.measure_toggle(count, before))
        yield "toggle a recording durably", took_us, f"of {count}, toggled {before} times before"


def _cost_us(work: Callable[[], object]) -> float:
    """CPU microseconds of one call: the median of several spans."""
    count = _calibrate(work)
    return median(_span_s(work, count) for _ in range(_REPEATS)) / count * 1e6


def _calibrate(work: Callable[[], object]) -> int:
    count = 1
    while (took := _span_s(work, count)) < 0.01:
        count *= 4
    return max(round(count * _LASTING_S / _REPEATS / took), 1)


def _span_s(work: Callable[[], object], count: int) -> float:
    began = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - began


def _yardstick() -> Callable[[], object]:
    text = json.dumps({f"name {number}": [number, str(number), number / 7] for number in range(50)})
    return lambda: json.loads(text)
