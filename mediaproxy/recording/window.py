"""The end of a file that is still being filled: both tracks, interleaved, from the first frame that was
not handed out.

What nothing was written to reads as zeros, so loss, DTX and a closed gate all come out as silence of the
right length. The first write of a position wins, also when it wrote zeros.

A window is small (a row of a pool, 0.8 s at 8 kHz) and grows when a stall of ours or a slow journal asks
for it, up to 8 s; then it returns to its row. Without audio it holds no memory at all.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROW_FRAMES = 6_400
MAX_FRAMES = 64_000
BLOCK_ROWS = 512
CHANNELS = 2

Pcm = NDArray[np.int16]


class Stretch(NamedTuple):
    """Frames `[start, end)`: interleaved 16-bit little-endian stereo, or None where all are zero."""

    start: int
    end: int
    frames: bytes | None


class Row(NamedTuple):
    """A row of the pool: zeros when it is taken and when it is given back."""

    block: int
    number: int
    frames: Pcm  # (ROW_FRAMES, CHANNELS)


class WindowPool:
    """Rows in blocks, so that one step can write into many windows. The first block is there from the
    start, 13 MB at the usual size; the memory of others is used as their rows are."""

    __slots__ = ("_free", "blocks", "row_frames")

    def __init__(self, row_frames: int = ROW_FRAMES) -> None:
        self.row_frames = row_frames
        self.blocks: list[Pcm] = []  # flat: row, frame, channel
        self._free: list[tuple[int, int]] = []
        self._add_block()
        self.blocks[0].fill(0)  # touched now: the first calls cost the relay's loop no page faults

    def take_row(self) -> Row:
        if not self._free:
            self._add_block()
        block, number = self._free.pop()
        rows = self.blocks[block].reshape(BLOCK_ROWS, self.row_frames, CHANNELS)
        return Row(block, number, rows[number])

    def give_back(self, row: Row) -> None:
        self._free.append((row.block, row.number))

    def _add_block(self) -> None:
        self._free = [(len(self.blocks), number) for number in range(BLOCK_ROWS - 1, -1, -1)]
        self.blocks.append(np.zeros(BLOCK_ROWS * self.row_frames * CHANNELS, dtype=np.int16))


class Window:
    """Positions only grow. `base` is the first frame that was not handed out."""

    __slots__ = ("_frames", "_max_frames", "_pool", "_runs", "base", "row")

    def __init__(self, pool: WindowPool, max_frames: int = MAX_FRAMES) -> None:
        self.base = 0
        self.row: Row | None = None
        self._pool = pool
        self._max_frames = max_frames
        self._frames: Pcm | None = None
        # Where each channel was written: disjoint [start, end), ascending, none of them adjacent.
        self._runs: tuple[list[list[int]], list[list[int]]] = ([], [])

    @property
    def in_row(self) -> bool:
        """Whether the window is its row of the pool."""
        return self.row is not None and self._frames is self.row.frames

    @property
    def top(self) -> int:
        """The end of what was written."""
        return max((runs[-1][1] for runs in self._runs if runs), default=self.base)

    def reaches(self, channel: int) -> int:
        """Where the last run of a channel ends: from there on nothing was written."""
        runs = self._runs[channel]
        return runs[-1][1] if runs else self.base

    def write(self, channel: int, position: int, pcm: Pcm) -> int:
        """Place samples where none were; returns how many found no room (beyond the largest window)."""
        end = position + len(pcm)
        start, end, lost = self._room(position, end)
        if start < end:
            frames = self._grown(end)
            for first, last in self._fresh(channel, start, end):
                frames[first - self.base : last - self.base, channel] = pcm[
                    first - position : last - position
                ]
        return lost

    def extend(self, channel: int, end: int) -> None:
        """The last run of the channel was written on up to `end` by another hand, into the row."""
        runs = self._runs[channel]
        if runs and end > runs[-1][1]:
            runs[-1][1] = end

    def blank(self, channel: int, start: int, end: int) -> None:
        """Zeros from `start` to `end`, over what was written and against what will be."""
        start, end, _ = self._room(start, end)
        if start < end:
            self._grown(end)[start - self.base : end - self.base, channel] = 0
            for _ in self._fresh(channel, start, end):
                pass

    def erase(self, start: int, end: int) -> None:
        """Both channels as if nothing had been written in `[start, end)`."""
        start = max(start, self.base)
        if start >= end:
            return
        if self._frames is not None:
            self._frames[start - self.base : end - self.base] = 0
        for runs in self._runs:
            kept = [[first, min(last, start)] for first, last in runs if first < start]
            runs[:] = kept + [[max(first, end), last] for first, last in runs if last > end]

    def take(self, until: int) -> list[Stretch]:
        """Hand out everything before `until`, and leave silence in its place."""
        base, until = self.base, max(until, self.base)
        first, last = until, base  # between them everything that was written lies
        for runs in self._runs:
            if runs and runs[0][0] < until:
                first = min(first, runs[0][0])
                last = max(last, *(min(end, until) for start, end in runs if start < until), last)
        if last <= first:
            first = last = until
        stretches = [Stretch(base, first, None)] if base < first else []
        if first < last:
            assert self._frames is not None
            stretches.append(Stretch(first, last, self._frames[first - base : last - base].tobytes()))
        if last < until:
            stretches.append(Stretch(last, until, None))
        self._advance(until)
        return stretches

    def rest(self) -> None:
        """Give the memory back while nothing is written in it."""
        if self.row is not None and not any(self._runs):
            self._pool.give_back(self.row)
            self.row = self._frames = None

    def discard(self) -> None:
        """The recording is over: nothing of it stays in memory."""
        self.erase(self.base, self.top)
        if self.row is not None:
            self.row.frames[:] = 0
        self.rest()

    def _room(self, start: int, end: int) -> tuple[int, int, int]:
        limit = self.base + self._max_frames
        return max(start, self.base), min(end, limit), max(end - max(limit, start), 0)

    def _grown(self, end: int) -> Pcm:
        """The frames, with room up to `end`."""
        if self._frames is None:
            self.row = self._pool.take_row()
            self._frames = self.row.frames
        if end - self.base > len(self._frames):
            room = min(max(2 * len(self._frames), end - self.base), self._max_frames)
            grown = np.zeros((room, CHANNELS), dtype=np.int16)
            grown[: len(self._frames)] = self._frames
            self._frames[:] = 0
            self._frames = grown
        return self._frames

    def _fresh(self, channel: int, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of `[start, end)` that no one wrote, now marked as written."""
        runs = self._runs[channel]
        if not runs or start > runs[-1][1]:
            runs.append([start, end])
            return [(start, end)]
        if start == runs[-1][1]:
            runs[-1][1] = end
            return [(start, end)]
        return _merge(runs, start, end)

    def _advance(self, until: int) -> None:
        """Move what lies behind `until` to the front."""
        used, left = self.top - self.base, max(self.top - until, 0)
        for runs in self._runs:
            if runs and runs[0][0] < until:
                runs[:] = [[max(start, until), end] for start, end in runs if end > until]
        if self._frames is not None:
            self._frames[:left] = self._frames[used - left : used]
            self._frames[left:used] = 0
        self.base = until
        self._shrink(left)

    def _shrink(self, used: int) -> None:
        if self.row is None or self._frames is None or self.in_row or used > len(self.row.frames):
            return
        self.row.frames[:used] = self._frames[:used]
        self._frames = self.row.frames


def _merge(runs: list[list[int]], start: int, end: int) -> list[tuple[int, int]]:
    """Add `[start, end)` to ascending runs; returns what of it was not in them."""
    fresh, at = [], start
    touched = [run for run in runs if run[0] <= end and run[1] >= start]
    for first, last in touched:
        if at < first:
            fresh.append((at, first))
        at = max(at, last)
    if at < end:
        fresh.append((at, end))
    merged = [min([start, *(run[0] for run in touched)]), max([end, *(run[1] for run in touched)])]
    runs[:] = sorted([run for run in runs if run not in touched] + [merged])
    return fresh
