"""What a process with live calls does again and again: ticks, and now and then a look at its garbage."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from mediaproxy.service.collector import Collector

TICK_S: Final = 0.04  # from the ring to the spool
BEAT_S: Final = 1.0

log = structlog.get_logger()


@asynccontextmanager
async def pulse(
    tick: Callable[[int], None], *, live: Callable[[], int], beat: Callable[[], None]
) -> AsyncIterator[Collector]:
    """`tick(now_ns)` for as long as the context lasts, `beat` each second while calls live. Call the
    collector's `settle` when everything is built."""
    collector = Collector()
    task = asyncio.get_running_loop().create_task(_tick_for_ever(tick, live, beat, collector))
    try:
        yield collector
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _tick_for_ever(
    tick: Callable[[int], None], live: Callable[[], int], beat: Callable[[], None], collector: Collector
) -> None:
    """Absolute deadlines: a late tick delays none of the later ones."""
    loop = asyncio.get_running_loop()
    due = beat_due = loop.time()
    while True:
        due = max(due + TICK_S, loop.time())
        await asyncio.sleep(due - loop.time())
        try:
            tick(time.monotonic_ns())
        except Exception:  # a task root: the other calls' recordings go on
            log.exception("tick_failed")
        if not live():
            collector.rest()
        elif loop.time() >= beat_due:
            beat_due = loop.time() + BEAT_S
            collector.call_seen()
            beat()
