"""Deadlines of all calls in one heap: no look-up ever walks over all calls."""

from enum import Enum, auto
from heapq import heappop, heappush
from typing import NamedTuple

from mediaproxy.ids import CallId


class CallTimer(Enum):
    ALLOCATION = auto()  # the plane owes an answer
    RING = auto()
    ROW = auto()  # the 2xx waits for the log no longer
    RENEGOTIATION = auto()  # a re-INVITE takes too long
    INDICATION = auto()  # a leg is told, or told once more, that it is recorded
    CODES_A = auto()  # digits of a leg that may have become a code let go
    CODES_B = auto()
    SESSION_A = auto()  # a leg is to be refreshed, or was not
    SESSION_B = auto()


class Due(NamedTuple):
    call: CallId
    timer: CallTimer


class Schedule:
    """An entry counts only while it is the latest for its key, so stopping costs nothing."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Due]] = []
        self._at: dict[Due, float] = {}
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._at)

    def start(self, call: CallId, timer: CallTimer, at: float) -> None:
        due = Due(call, timer)
        self._at[due] = at
        self._sequence += 1
        heappush(self._heap, (at, self._sequence, due))

    def stop(self, call: CallId, timer: CallTimer) -> None:
        self._at.pop(Due(call, timer), None)

    def stop_all(self, call: CallId) -> None:
        for timer in CallTimer:
            self.stop(call, timer)

    def next_deadline(self) -> float | None:
        self._drop_stopped()
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Due | None:
        """The earliest that has passed, taken off; None when there is none."""
        self._drop_stopped()
        if not self._heap or self._heap[0][0] > now:
            return None
        due = heappop(self._heap)[2]
        del self._at[due]
        return due

    def _drop_stopped(self) -> None:
        heap = self._heap
        while heap and self._at.get(heap[0][2]) != heap[0][0]:
            heappop(heap)
