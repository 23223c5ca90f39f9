"""Waiting for what must come, as long as a machine that is busy may need."""

import asyncio
from collections.abc import Callable

POLL_S = 0.02


async def seen(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Returns as soon as it holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(POLL_S)
