"""Single operations, each against a yardstick measured in the same run."""

import gc
import json
import time
from collections.abc import Callable, Iterator

from mediaproxy.sip.parser import parse_message
from tests.bench.results import Micro
from tests.bench.samples import INVITE

_LASTING_S = 0.3
_REPEATS = 5


async def measure() -> list[Micro]:
    gc.collect()
    gc.disable()
    try:
        yardstick = best_us(_yardstick())
        return [
            Micro(name, took := best_us(work), took / yardstick, note) for name, work, note in _operations()
        ]
    finally:
        gc.enable()


def best_us(work: Callable[[], object]) -> float:
    """CPU microseconds of one call: the best of several spans, as noise only ever adds."""
    count = _calibrate(work)
    return min(_span_s(work, count) for _ in range(_REPEATS)) / count * 1e6


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


def _operations() -> Iterator[tuple[str, Callable[[], object], str]]:
    yield "the yardstick itself", _yardstick(), "json.loads of 2 kB"
    yield "parse an INVITE", lambda: parse_message(INVITE), f"{len(INVITE)} bytes with a description"
