"""One-way delays as counts: of any number of packets, in little room, and over time.

Percentiles are those of the counts, whose bins are 2 % wide; the largest delays are exact.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RATIO = 1.02
_MOST_US = 60e6
EDGES_US = np.concatenate([[0.0], _RATIO ** np.arange(0, np.log(_MOST_US) / np.log(_RATIO) + 1)])

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


class Delays:
    """Counted by steps of `step_s` in which packets were sent, from the beginning of the traffic on."""

    def __init__(self, step_s: float, seconds: float) -> None:
        steps = int(seconds / step_s) + 1
        self.step_s = step_s
        self.counts = np.zeros((steps, len(EDGES_US) - 1), dtype=np.int64)
        self.largest_us = np.zeros(steps)

    def add(self, sent_s: Floats, delay_us: Floats) -> None:
        """Packets by when they were sent; what was sent after the end counts as sent at the end."""
        step = self.steps(sent_s)
        place = np.clip(np.searchsorted(EDGES_US, delay_us, side="right") - 1, 0, self.counts.shape[1] - 1)
        flat = np.bincount(step * self.counts.shape[1] + place, minlength=self.counts.size)
        self.counts += flat.reshape(self.counts.shape)
        np.maximum.at(self.largest_us, step, delay_us)

    def steps(self, sent_s: Floats) -> Integers:
        return np.clip((sent_s / self.step_s).astype(np.int64), 0, len(self.counts) - 1)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def percentiles(self, of: Sequence[float], from_s: float = 0.0, to_s: float = np.inf) -> list[float]:
        """In microseconds, of what was sent within the span; nothing when that is nothing."""
        first = int(from_s / self.step_s)
        last = len(self.counts) if to_s == np.inf else max(int(to_s / self.step_s), first)
        counts = self.counts[first:last].sum(axis=0)
        if not counts.any():
            return []
        largest = float(self.largest_us[first:last].max())
        return [percentile(counts, percent, largest) for percent in of]


def percentile(counts: Integers, percent: float, largest: float) -> float:
    """The delay that `percent` of the packets do not exceed, to 2 %."""
    if percent >= 100:
        return largest
    place = int(np.searchsorted(np.cumsum(counts), counts.sum() * percent / 100))
    return min(float(EDGES_US[place + 1]), largest)
