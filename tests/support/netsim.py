"""A lossy network with no sockets and no clock: packets in, packets out later. Seeded, so repeatable."""

import heapq
import random
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Link:
    """Seconds and probabilities. Jitter beyond the distance of two packets reorders them."""

    latency: float = 0.02
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    drop_pattern: tuple[bool, ...] = ()  # exact drops, repeated; beats `loss`


@dataclass
class NetSim(Generic[T]):
    """Packets are any values, addressed to any name."""

    link: Link
    seed: int
    _heap: list[tuple[float, int, str, T]] = field(default_factory=list)
    _ids: "count[int]" = field(default_factory=count)

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)
        self._sent = 0

    def send(self, to: str, packet: T, *, now: float) -> None:
        index = self._sent
        self._sent += 1
        pattern = self.link.drop_pattern
        if pattern[index % len(pattern)] if pattern else self._rng.random() < self.link.loss:
            return
        copies = 2 if self._rng.random() < self.link.duplicate else 1
        for _ in range(copies):
            at = now + self.link.latency + self._rng.uniform(0, self.link.jitter)
            heapq.heappush(self._heap, (at, next(self._ids), to, packet))

    def next_deadline(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> list[tuple[str, T]]:
        due = []
        while self._heap and self._heap[0][0] <= now:
            _, _, to, packet = heapq.heappop(self._heap)
            due.append((to, packet))
        return due
