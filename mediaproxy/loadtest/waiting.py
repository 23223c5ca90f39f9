"""Waiting that an interruption ends."""

import asyncio
import time
from contextlib import suppress


async def until(at: float, stop: asyncio.Event) -> bool:
    """Wait for the monotonic second `at`. False: it was interrupted."""
    left = at - time.monotonic()
    if left > 0 and not stop.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(left):
                await stop.wait()
    return not stop.is_set()
