"""Time as the core sees it: numbers handed in, never read.

Two kinds: deadlines are monotonic seconds (`now: float`), media time is monotonic nanoseconds
(`now_ns: int`, the same clock). Wall time appears only in names, headers and logs.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

K = TypeVar("K", bound=Enum)


@dataclass(slots=True)
class Timers(Generic[K]):
    """Deadlines by name, in monotonic seconds. Starting a timer again moves it."""

    _at: dict[K, float] = field(default_factory=dict)

    def start(self, timer: K, at: float) -> None:
        self._at[timer] = at

    def stop(self, timer: K) -> None:
        self._at.pop(timer, None)

    def clear(self) -> None:
        self._at.clear()

    def running(self, timer: K) -> bool:
        return timer in self._at

    def next_deadline(self) -> float | None:
        return min(self._at.values(), default=None)

    def pop_expired(self, now: float) -> list[K]:
        """Remove and return what has expired, earliest first."""
        expired = sorted((at, timer.name, timer) for timer, at in self._at.items() if at <= now)
        for _, _, timer in expired:
            del self._at[timer]
        return [timer for _, _, timer in expired]
