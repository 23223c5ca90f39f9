"""When each live file is due: evenly spread over a period, so that no tick has to look at all of them."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

SLOTS = 16


class Wheel(Generic[T]):
    """Everything in it is due once a period."""

    def __init__(self, period_ns: int) -> None:
        self._slot_ns = period_ns // SLOTS
        self._slots: list[dict[int, T]] = [{} for _ in range(SLOTS)]
        self._at = 0  # the last slot that was due, counted from the clock's 0

    def add(self, number: int, item: T) -> None:
        """`number` is the item's alone."""
        self._slots[number % SLOTS][number] = item

    def remove(self, number: int) -> None:
        self._slots[number % SLOTS].pop(number, None)

    def due(self, now_ns: int) -> Iterator[T]:
        """What has come due since this was asked last, each at most once. `now_ns` only grows."""
        now = now_ns // self._slot_ns
        first, self._at = max(self._at, now - SLOTS) + 1, max(self._at, now)
        for slot in range(first, now + 1):
            yield from self._slots[slot % SLOTS].values()
