"""The least transit of the last ten seconds, for many streams at once.

A row a stream, a column a quarter of a second of the call clock (modulo ten seconds): a *slice*. One table
serves all streams, so that the recorder can note a packet of each of hundreds of streams in one step.
"""

from ctypes import PyDLL, c_int64, c_void_p

import numpy as np
from numpy.typing import NDArray

SLICES_PER_S = 4
SECONDS = 10
SLICES = SECONDS * SLICES_PER_S
_NEVER = -(1 << 31)  # no slice of any call
_NONE = 1 << 62


class LeastTransits:
    """Transits are in samples; a row is taken by a stream and given back when it is gone. With a `helper`
    (`mediaproxy.native`) the least is looked for in C."""

    __slots__ = ("_compiled", "_free", "_least", "_slice", "_there")

    def __init__(self, rows: int = 16, helper: PyDLL | None = None) -> None:
        self._compiled = None
        if helper is not None:
            self._compiled = helper.recorder_least
            self._compiled.argtypes = (c_void_p, c_void_p, c_int64, c_int64)
            self._compiled.restype = c_int64
        self._least: NDArray[np.int64] = np.zeros((rows, SLICES), dtype=np.int64)
        self._slice: NDArray[np.int32] = np.full((rows, SLICES), _NEVER, dtype=np.int32)
        self._free = list(range(rows - 1, -1, -1))
        self._there = self._least.ctypes.data, self._slice.ctypes.data  # what C is told

    @property
    def tables(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The least transits and the slices they were noted in; others when there are more rows."""
        return self._least, self._slice

    def take_row(self) -> int:
        if not self._free:
            self._grow()
        return self._free.pop()

    def give_back(self, row: int) -> None:
        self.forget(row)
        self._free.append(row)

    def forget(self, row: int) -> None:
        self._slice[row] = _NEVER

    def note(self, row: int, slice_: int, transit: int) -> None:
        column = slice_ % SLICES
        if self._slice[row, column] != slice_:
            self._slice[row, column] = slice_
            self._least[row, column] = transit
        elif transit < self._least[row, column]:
            self._least[row, column] = transit

    def note_many(
        self, rows: NDArray[np.int64], slices: NDArray[np.int64], transits: NDArray[np.int64]
    ) -> None:
        """`note` for many rows, each named once."""
        at = rows * SLICES + slices % SLICES
        noted, least = self._slice.reshape(-1), self._least.reshape(-1)
        known = np.where(noted.take(at) == slices, least.take(at), transits)
        noted[at] = slices
        least[at] = np.minimum(known, transits)

    def least(self, row: int, last: int, slices: int = SLICES) -> int | None:
        """The least transit noted in so many slices (at most all) that end with `last`."""
        if self._compiled is None:
            at = self._slice[row]
            least = int(np.where((at > last - slices) & (at <= last), self._least[row], _NONE).min())
        else:
            transits, noted = self._there
            first = row * SLICES
            least = self._compiled(transits + first * 8, noted + first * 4, last, slices)
        return None if least == _NONE else least

    def _grow(self) -> None:
        rows = len(self._least)
        self._least = np.concatenate([self._least, np.zeros_like(self._least)])
        self._slice = np.concatenate([self._slice, np.full_like(self._slice, _NEVER)])
        self._free = list(range(2 * rows - 1, rows - 1, -1))
        self._there = self._least.ctypes.data, self._slice.ctypes.data
