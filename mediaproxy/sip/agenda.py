"""Deadlines of many transactions in one heap: no look-up ever walks over all of them."""

from heapq import heappop, heappush
from typing import Protocol

from mediaproxy.sip.machines import Input


class Owner(Protocol):
    deadlines: dict[Input, float]


_Entry = tuple[float, int, Owner, Input]


class Agenda:
    """An entry counts only while its owner still has that very deadline, so stopping costs nothing."""

    def __init__(self) -> None:
        self._heap: list[_Entry] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._heap)

    def start(self, owner: Owner, timer: Input, at: float) -> None:
        owner.deadlines[timer] = at
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, owner, timer))

    def next_deadline(self) -> float | None:
        self._drop_stopped()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> tuple[Owner, Input] | None:
        """The earliest deadline that has passed, taken off; None when there is none."""
        self._drop_stopped()
        if not self._heap or self._heap[0][0] > now:
            return None
        _, _, owner, timer = heappop(self._heap)
        del owner.deadlines[timer]
        return owner, timer

    def _drop_stopped(self) -> None:
        heap = self._heap
        while heap:
            at, _, owner, timer = heap[0]
            if owner.deadlines.get(timer) == at:
                return
            heappop(heap)
