"""The books are kept beside the load: what is asked of them is done, whenever their keeping ends."""

import asyncio
import threading
from contextlib import suppress

import pytest

from mediaproxy.loadtest import bookkeeping
from mediaproxy.loadtest.bookkeeping import Bookkeeping
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.ledger import Ledger
from mediaproxy.loadtest.schedule import Speech, Stream
from mediaproxy.loadtest.source import CLEAN


class SlowSource:
    """Notes that take as long to read as the test says."""

    def __init__(self) -> None:
        self.reading, self.go_on = threading.Event(), threading.Event()

    def take(self) -> tuple[list[object], list[object]]:
        self.reading.set()
        assert self.go_on.wait(5)
        return [], []


async def test_a_call_that_is_closed_while_the_keeping_ends_is_closed_nevertheless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bookkeeping, "_EVERY_S", 0.01)
    monkeypatch.setattr(bookkeeping, "_SETTLE_S", -1.0)  # due at once
    source, closed = SlowSource(), []
    books = Bookkeeping(source, Ledger(0, CLEAN, Delays(1.0, 10.0)))  # type: ignore[arg-type]
    speeches = [Speech(Stream(number, "127.0.0.1", 9), 3, 50) for number in (0, 1)]
    books.open(speeches)
    books.close(speeches, lambda said, began_ns: closed.append((said, began_ns)))
    keeping = asyncio.create_task(books.keep())
    assert await asyncio.to_thread(source.reading.wait, 5)
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping
    source.go_on.set()
    await books.finish()
    assert [said for said, _ in closed] == [tuple(speeches)]
