"""The lanes' compiled twin (`mediaproxy/native/recorder.c`): what it is to know, and how it is called.

It works on the same arrays as `lanes`, and does the same with them.
"""

from collections.abc import Iterator
from ctypes import POINTER, PyDLL, Structure, byref, c_int64, c_uint32, c_void_p

import numpy as np
from numpy.typing import NDArray

from mediaproxy.recording.live import PHASE
from mediaproxy.recording.packets import Margins
from mediaproxy.recording.tracks import G711_HZ
from mediaproxy.recording.transits import LeastTransits
from mediaproxy.recording.window import CHANNELS, TABLES, WindowPool

Ints = NDArray[np.int64]


class Desk(Structure):
    """`struct desk`: where everything lies."""

    _fields_ = (
        ("lanes", c_void_p),
        ("slot_of", c_void_p),
        ("generation", c_void_p),
        ("least", c_void_p),
        ("slice", c_void_p),
        ("blocks", c_void_p),
        ("laws", c_void_p * 2),
        ("row_frames", c_int64),
        ("phase", c_int64),
        ("gap", c_int64),
        ("raised", c_int64),
        ("lower", c_int64),
    )


class CompiledLanes:
    """Belongs to a recorder, which owns the arrays, and tells by `aim` of new ones."""

    __slots__ = ("_blocks", "_desk", "_least", "_place", "_pool", "_take", "_there", "_transits", "_wipe")

    def __init__(
        self, helper: PyDLL, pool: WindowPool, transits: LeastTransits, slot_of: NDArray[np.int32]
    ) -> None:
        self._place, self._take, self._wipe = (
            helper.recorder_place,
            helper.recorder_take,
            helper.recorder_wipe,
        )
        desk = POINTER(Desk)
        self._place.argtypes = (desk, c_void_p, c_int64, c_int64, c_void_p, c_uint32)
        self._place.restype = self._take.restype = c_int64
        self._take.argtypes = (desk, c_void_p, c_int64, c_int64, c_void_p, c_void_p)
        self._wipe.argtypes = (c_void_p, c_int64)
        self._wipe.restype = None
        self._pool, self._transits = pool, transits
        self._blocks: NDArray[np.uintp] = np.zeros(0, dtype=np.uintp)  # where each of the pool's begins
        self._least: Ints | None = None
        margins = Margins.of(G711_HZ)
        self._desk = Desk(
            slot_of=slot_of.ctypes.data,
            laws=(TABLES[0].ctypes.data, TABLES[1].ctypes.data),
            row_frames=pool.row_frames,
            phase=PHASE,
            gap=margins.gap,
            raised=margins.raised,
            lower=margins.lower,
        )
        self._there = byref(self._desk)

    def aim(self, lanes: Ints, generation: Ints) -> None:
        """`lanes` with a lane's numbers side by side."""
        self._desk.lanes, self._desk.generation = lanes.ctypes.data, generation.ctypes.data

    def place(self, records: NDArray[np.void], passes_ns: Ints) -> Iterator[int]:
        """Place the records of the ring in their order; gives the index of each that is not regular, which is
        to be received before the next is asked for."""
        count, mask = len(records), len(passes_ns) - 1
        there, passes = records.ctypes.data, passes_ns.ctypes.data
        at = 0
        while True:
            self._look()
            at = self._place(self._there, there, at, count, passes, mask)
            if at >= count:
                return
            yield at
            at += 1

    def take(self, slots: Ints, frames: int) -> tuple[Ints, list[memoryview]]:
        """As `Lanes.take`."""
        self._look()
        taken = np.empty(len(slots), dtype=np.int64)
        sound = np.empty(len(slots) * frames, dtype="<u4")
        found = self._take(
            self._there, slots.ctypes.data, len(slots), frames, taken.ctypes.data, sound.ctypes.data
        )
        size, said = frames * 2 * CHANNELS, sound.data.cast("B")
        return taken[:found], [said[at : at + size] for at in range(0, found * size, size)]

    def wipe(self, records: NDArray[np.void]) -> None:
        """Zeros in place of what the records carry."""
        self._wipe(records.ctypes.data, len(records))

    def _look(self) -> None:
        """Tables grow, and blocks are added."""
        least, noted = self._transits.tables
        if least is not self._least:
            self._least = least
            self._desk.least, self._desk.slice = least.ctypes.data, noted.ctypes.data
        if len(self._blocks) != len(self._pool.blocks):
            self._blocks = np.array([each.ctypes.data for each in self._pool.blocks], dtype=np.uintp)
            self._desk.blocks = self._blocks.ctypes.data
