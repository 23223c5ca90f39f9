"""The least transit of the last ten seconds, for many streams at once.

A row a stream, a column a second of the call clock (modulo ten). One table serves all streams, so that
the recorder can note a packet of each of hundreds of streams in one step.
"""

import numpy as np
from numpy.typing import NDArray

SECONDS = 10
_NEVER = -(1 << 40)  # no second of any call


class LeastTransits:
    """Transits are in samples; a row is taken by a stream and given back when it is gone."""

    __slots__ = ("_free", "_least", "_second")

    def __init__(self, rows: int = 16) -> None:
        self._least: NDArray[np.int64] = np.zeros((rows, SECONDS), dtype=np.int64)
        self._second: NDArray[np.int64] = np.full((rows, SECONDS), _NEVER, dtype=np.int64)
        self._free = list(range(rows - 1, -1, -1))

    def take_row(self) -> int:
        if not self._free:
            self._grow()
        return self._free.pop()

    def give_back(self, row: int) -> None:
        self.forget(row)
        self._free.append(row)

    def forget(self, row: int) -> None:
        self._second[row] = _NEVER

    def note(self, row: int, second: int, transit: int) -> None:
        column = second % SECONDS
        if self._second[row, column] != second:
            self._second[row, column] = second
            self._least[row, column] = transit
        elif transit < self._least[row, column]:
            self._least[row, column] = transit

    def note_many(
        self, rows: NDArray[np.int64], seconds: NDArray[np.int64], transits: NDArray[np.int64]
    ) -> None:
        """`note` for many rows, each named once."""
        at = rows * SECONDS + seconds % SECONDS
        second, least = self._second.reshape(-1), self._least.reshape(-1)
        known = np.where(second.take(at) == seconds, least.take(at), transits)
        second[at] = seconds
        least[at] = np.minimum(known, transits)

    def least(self, row: int, second: int, seconds: int = SECONDS) -> int | None:
        """The least transit noted in the last (at most ten) seconds that end with `second`."""
        since = second - seconds
        noted = zip(self._second[row].tolist(), self._least[row].tolist(), strict=True)
        return min((least for at, least in noted if since < at <= second), default=None)

    def _grow(self) -> None:
        rows = len(self._least)
        self._least = np.concatenate([self._least, np.zeros_like(self._least)])
        self._second = np.concatenate([self._second, np.full_like(self._second, _NEVER)])
        self._free = list(range(2 * rows - 1, rows - 1, -1))
