"""A sound that we play ourselves: an announcement, a reminder, a confirmation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from mediaproxy.audio.g711 import Pcm

TICK_HZ: Final = 8_000  # what a sound's length and places in it are counted in
RATES_HZ: Final = (8_000, 16_000, 48_000)


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """One sound, mono, at the sampling rates that our codecs and files have, each a multiple of 8,000.

    `ticks` is its length in 1/8,000 s; at rate r it has `ticks * r // 8000` samples. Two sounds are the
    same only when they are the same object.
    """

    name: str
    by_rate: Mapping[int, Pcm] = field(repr=False)

    @property
    def ticks(self) -> int:
        return len(self.by_rate[TICK_HZ])

    def stretch(self, start: int, ticks: int, rate_hz: int) -> Pcm:
        """`ticks` from tick `start` on, at `rate_hz`; silence beyond its end."""
        first, last = start * rate_hz // TICK_HZ, (start + ticks) * rate_hz // TICK_HZ
        found = self.by_rate[rate_hz][first:last]
        if len(found) == last - first:
            return found
        return np.concatenate([found, np.zeros(last - first - len(found), np.int16)])
