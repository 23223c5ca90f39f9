"""What sender and sink write down: a file every half second, which whoever reads it takes away.

sent-00000017.npy      (cycle, slot) → monotonic nanoseconds; cycles follow one another
arrived-00000023.npy   arrivals, in the order in which they came
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SENT, ARRIVED = "sent", "arrived"


class Notes:
    """Writes notes of one kind; a file is there wholly or not at all."""

    def __init__(self, directory: Path, kind: str) -> None:
        self._directory = directory
        self._kind = kind
        self._count = 0
        self._parts: list[NDArray[np.generic]] = []

    def add(self, part: NDArray[np.generic]) -> None:
        self._parts.append(part)

    def write(self) -> None:
        """Put what was added since into a file."""
        if not self._parts:
            return
        file = self._directory / f"{self._kind}-{self._count:08}.npy"
        unfinished = file.with_suffix(".tmp")
        with unfinished.open("wb") as output:
            np.save(output, np.concatenate(self._parts))
        unfinished.rename(file)
        self._count += 1
        self._parts = []


def take(directory: Path, kind: str) -> list[NDArray[np.generic]]:
    """All notes of a kind that are there, oldest first; their files go."""
    found = []
    for file in sorted(directory.glob(f"{kind}-*.npy")):
        found.append(np.load(file))
        file.unlink()
    return found
