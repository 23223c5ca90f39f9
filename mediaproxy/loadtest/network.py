"""What befalls packets before they reach the proxy: chosen by a seed, so that an audit knows it exactly.

Pure: whether and when packet `k` of stream `s` goes out is a function of (seed, s, k) alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.schedule import SLOT_NS, SLOTS, SOCKETS

MAX_JITTER_MS = 100
STEP_MS = SOCKETS * SLOT_NS / 1e6  # delays are multiples of it: 4 ms
_BEHIND_SLOTS = 6 * SOCKETS  # 24 ms: behind the next packet, and before the one after that

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Network:
    """`loss` and `reorder` are shares of all packets; every packet is late by 0 to `jitter_ms`."""

    loss: float = 0.0
    jitter_ms: float = 0.0
    reorder: float = 0.0
    seed: int = 1

    @property
    def clean(self) -> bool:
        return not (self.loss or self.jitter_ms or self.reorder)

    @property
    def cycles(self) -> int:
        """How many cycles of 20 ms after its own a packet may go out."""
        return 0 if self.jitter_ms == self.reorder == 0 else -(-(SLOTS - 1 + self._most_slots) // SLOTS)

    def lost(self, stream: Integers | int, index: Integers | int) -> NDArray[np.bool_]:
        """Which of these packets are never sent."""
        return np.asarray(self._chance(stream, index, 1) < self.loss)

    def delays(self, stream: Integers | int, index: Integers | int) -> Integers:
        """By how many slots each of these packets is sent late."""
        steps = int(self.jitter_ms / STEP_MS) + 1
        late = (self._chance(stream, index, 2) * steps).astype(np.int64) * SOCKETS
        behind = self._chance(stream, index, 3) < self.reorder
        return np.asarray(late + behind * _BEHIND_SLOTS)

    @property
    def _most_slots(self) -> int:
        return int(self.jitter_ms / STEP_MS) * SOCKETS + bool(self.reorder) * _BEHIND_SLOTS

    def _chance(self, stream: Integers | int, index: Integers | int, kind: int) -> NDArray[np.float64]:
        """Even in [0, 1), and unlike for everything that tells packets apart (SplitMix64)."""
        mixed = np.atleast_1d(np.asarray(stream, dtype=np.uint64)) << np.uint64(32)
        mixed = mixed ^ np.asarray(index, dtype=np.uint64)
        mixed = mixed + np.uint64((self.seed * 4 + kind) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) / float(1 << 53)
