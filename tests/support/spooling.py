"""Waiting for a spool's audio thread without guessing how long it takes."""

import asyncio
from collections.abc import Iterator
from threading import Event

from mediaproxy.storage import Spool
from mediaproxy.storage.audio import Flush


class Marker(list[Flush]):
    """An empty list of flushes that tells when the audio thread comes to it."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = Event()

    def __iter__(self) -> Iterator[Flush]:
        self.reached.set()
        return super().__iter__()


async def written(spool: Spool) -> None:
    """All that was handed over was tried on the files, and the loop has heard of it.

    A marker is reached before the work of its batch is done, but after that of every batch before.
    """
    for _ in range(2):
        marker = Marker()
        spool._threads._audio.submit(marker)
        assert await asyncio.to_thread(marker.reached.wait, 10)
    await asyncio.sleep(0)
