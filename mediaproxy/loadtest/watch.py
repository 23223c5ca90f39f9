"""Looks at the proxy's processes now and then."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from mediaproxy.loadtest import cpu
from mediaproxy.loadtest.outcome import Sample


def look(pid: int | None, calls: int, arrived: int) -> Sample:
    """Of processes that are out of sight nothing but what we know ourselves."""
    if pid is None:
        return Sample(time.monotonic_ns(), calls, 0, 0.0, arrived)
    members = cpu.tree(pid)
    return Sample(
        time.monotonic_ns(), calls, cpu.resident_of(members), cpu.seconds_of(members), arrived,
        cpu.files_of(members), cpu.threads_of(members),
    )  # fmt: skip


@asynccontextmanager
async def watched(
    pid: int | None,
    every_s: float,
    calls: Callable[[], int],
    arrived: Callable[[], int],
    samples: list[Sample],
) -> AsyncIterator[None]:
    """Samples at the beginning, every `every_s`, and at the end."""

    def note() -> None:
        samples.append(look(pid, calls(), arrived()))

    async def watch() -> None:
        while True:
            await asyncio.sleep(every_s)
            await asyncio.to_thread(note)

    note()
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        note()
