"""The newcomer's minute: a whole proxy on loopback, a carrier that calls an agent, a recording on demand."""

import asyncio
import signal
from collections.abc import Coroutine
from pathlib import Path

import uvloop
from rich.console import Console

from mediaproxy.demo.story import tell


def run(directory: Path, *, leave: bool, console: Console | None = None) -> int:
    """Tell the story in `directory`; then stay up until Ctrl-C, unless `leave`. 0 when it went as told."""
    return uvloop.run(_until_interrupted(tell(directory, console or Console(), leave=leave)))


async def _until_interrupted(work: Coroutine[None, None, int]) -> int:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        return 0
