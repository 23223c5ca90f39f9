"""Keeps the ledger beside the load: reads what sender and sink noted, opens and closes streams."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mediaproxy.loadtest.ledger import Ledger
from mediaproxy.loadtest.schedule import Speech
from mediaproxy.loadtest.source import Source

_EVERY_S = 0.5
_SETTLE_S = 2.0  # after a call's end: its last packets have arrived, and both notes of them are written

Closed = Callable[[tuple[Speech, Speech], tuple[int, int]], None]  # what was said, and when each began


@dataclass(frozen=True, slots=True)
class _Closing:
    due: float
    numbers: tuple[int, int]
    closed: Closed


class Bookkeeping:
    """The ledger is touched by one thread at a time; whatever is asked of it waits for the next turn."""

    def __init__(self, source: Source, ledger: Ledger) -> None:
        self.ledger = ledger
        self._source = source
        self._opening: list[Speech] = []
        self._closing: deque[_Closing] = deque()
        self._shorten_to: int | None = None
        self._begun: asyncio.Future[None] | None = None

    def open(self, speeches: Sequence[Speech]) -> None:
        self._opening += speeches

    def close(self, speeches: Sequence[Speech], closed: Closed) -> None:
        """Soon: what has not arrived by then is lost. `closed` is called on the loop."""
        first, second = (speech.stream.number for speech in speeches)
        self._closing.append(_Closing(time.monotonic() + _SETTLE_S, (first, second), closed))

    def shorten(self, cycle: int) -> None:
        """Nobody speaks from `cycle` on."""
        self._shorten_to = cycle

    async def keep(self) -> None:
        """Until cancelled; a turn that has begun goes on to its end, for which `finish` waits."""
        while True:
            await asyncio.sleep(_EVERY_S)
            self._begun = asyncio.ensure_future(self.turn())
            await asyncio.shield(self._begun)

    async def finish(self) -> None:
        """Nothing is sent any more: close everything."""
        if self._begun is not None:
            await self._begun
        await self.turn()
        await self.turn(everything=True)

    async def turn(self, *, everything: bool = False) -> None:
        opening, self._opening = self._opening, []
        due = []
        while self._closing and (everything or self._closing[0].due < time.monotonic()):
            due.append(self._closing.popleft())
        results = await asyncio.to_thread(self._turn, opening, due)
        for closing, ((first, first_ns), (second, second_ns)) in zip(due, results, strict=True):
            closing.closed((first, second), (first_ns, second_ns))

    def _turn(self, opening: list[Speech], due: list[_Closing]) -> list[list[tuple[Speech, int]]]:
        for speech in opening:
            self.ledger.open(speech)
        if self._shorten_to is not None:
            self.ledger.shorten(self._shorten_to)
        self.ledger.note(*self._source.take())
        return [[self.ledger.close(number) for number in closing.numbers] for closing in due]
