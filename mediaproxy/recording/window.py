"""The end of a file that is still being filled: both tracks, interleaved, from the first frame that was
not handed out.

What nothing was written to reads as zeros, so loss, DTX and a closed gate all come out as silence of the
right length. The first write of a position wins, also when it wrote zeros.

A window holds G.711 as it came, a byte a sample, and decodes both channels by one look-up a frame when they
are handed out: so it is small (a row of a pool, 0.74 s) and cheap to move. A stall of ours or a slow journal
makes it move to a long row, 8 s, until it fits the short one again. Any other sound makes it linear for as
long as that sound is in it; linear frames have no row, for what other codecs say is written here only when
its turn has come. Without audio it holds no memory at all.
"""

from bisect import bisect_left, bisect_right
from mmap import MADV_DONTNEED, MAP_ANONYMOUS, MAP_PRIVATE, mmap
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM, alaw_encode, ulaw_encode

ROW_FRAMES = 5_952
MAX_FRAMES = 64_000
BLOCK_ROWS = 512
LONG_BLOCK_ROWS = 64
ROWS_AT_ONCE = 32  # more would leave the nearest cache
CHANNELS = 2
LEAST_LINEAR = 1_024  # frames

Pcm = NDArray[np.int16]
Codes = NDArray[np.uint8]

PCMU, PCMA = 0, 1
TABLES = (ULAW_TO_PCM, ALAW_TO_PCM)
ENCODERS = (ulaw_encode, alaw_encode)

_START, _END = itemgetter(0), itemgetter(1)


class Stretch(NamedTuple):
    """Frames `[start, end)`: interleaved 16-bit little-endian stereo, or None where all are zero."""

    start: int
    end: int
    frames: bytes | memoryview | None


class Row(NamedTuple):
    """A row of the pool: zeros when it is taken and when it is given back. One channel lies behind the
    other in it, so that a packet is written as it came."""

    block: int
    number: int
    codes: Codes  # (frames, CHANNELS)

    def begins(self, channel: int) -> int:
        """The index in its block of the channel's first frame."""
        return (self.number * CHANNELS + channel) * len(self.codes)


class WindowPool:
    """Rows in blocks, so that one step can write into many windows. The first block is there from the
    start, 6 MB at the usual size; the memory of others is used as their rows are, and that of long rows
    given back when none is in use."""

    __slots__ = ("_free", "_long", "_long_free", "blocks", "long_frames", "row_frames")

    def __init__(self, row_frames: int = ROW_FRAMES, long_frames: int = MAX_FRAMES) -> None:
        self.row_frames, self.long_frames = row_frames, long_frames
        self.blocks: list[Codes] = []  # (rows, channels, frames)
        self._free: list[tuple[int, int]] = []
        self._long: dict[int, mmap] = {}  # by block
        self._long_free: list[tuple[int, int]] = []
        self._add_block()
        self.blocks[0].fill(0)  # touched now: the first calls cost the relay's loop no page faults

    def take_row(self, frames: int = 0) -> Row:
        """With room for so many."""
        long = frames > self.row_frames
        free = self._long_free if long else self._free
        if not free:
            (self._add_long_block if long else self._add_block)()
        block, number = free.pop()
        return Row(block, number, self.blocks[block][number].T)

    def give_back(self, row: Row) -> None:
        if row.block not in self._long:
            return self._free.append((row.block, row.number))
        self._long_free.append((row.block, row.number))
        if len(self._long_free) == len(self._long) * LONG_BLOCK_ROWS:
            for memory in self._long.values():
                memory.madvise(MADV_DONTNEED)
        return None

    def take_front(
        self, block: int, rows: NDArray[np.int64], frames: int, used: int, laws: tuple[int, int]
    ) -> list[memoryview]:
        """Hand out the first `frames` of rows that are full of sound up to there; what follows, up to
        `used`, moves to the front."""
        held, size = self.blocks[block], frames * 2 * CHANNELS
        taken: list[memoryview] = []
        for first in range(0, len(rows), ROWS_AT_ONCE):
            some = rows[first : first + ROWS_AT_ONCE]
            codes = held[some, :, :used]
            sound = decode_both(codes[:, 0, :frames], codes[:, 1, :frames], laws).data.cast("B")
            held[some, :, : used - frames] = codes[:, :, frames:]
            held[some, :, used - frames : used] = 0
            taken += [sound[at : at + size] for at in range(0, len(sound), size)]
        return taken

    def _add_block(self) -> None:
        self._free += [(len(self.blocks), number) for number in range(BLOCK_ROWS - 1, -1, -1)]
        self.blocks.append(np.zeros((BLOCK_ROWS, CHANNELS, self.row_frames), dtype=np.uint8))

    def _add_long_block(self) -> None:
        self._long_free += [(len(self.blocks), number) for number in range(LONG_BLOCK_ROWS - 1, -1, -1)]
        shape = (LONG_BLOCK_ROWS, CHANNELS, self.long_frames)
        memory = mmap(-1, LONG_BLOCK_ROWS * CHANNELS * self.long_frames, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        self._long[len(self.blocks)] = memory
        self.blocks.append(np.frombuffer(memory, dtype=np.uint8).reshape(shape))


class Window:
    """Positions only grow. `base` is the first frame that was not handed out. `max_frames` is no more than
    a long row's where G.711 is written."""

    __slots__ = ("_codes", "_frames", "_laws", "_linear", "_max_frames", "_pool", "_runs", "base", "row")

    def __init__(self, pool: WindowPool, max_frames: int = MAX_FRAMES) -> None:
        self.base = 0
        self.row: Row | None = None
        self._pool = pool
        self._max_frames = max_frames
        # At most one of both, (frames, channels): the row's codes, or linear frames.
        self._codes: Codes | None = None
        self._frames: Pcm | None = None
        self._laws = [PCMU, PCMU]
        self._linear = 0  # the end of what can't be told as codes of `_laws`
        # Where each channel was written: disjoint [start, end), ascending, none of them adjacent.
        self._runs: tuple[list[list[int]], list[list[int]]] = ([], [])

    @property
    def in_row(self) -> bool:
        """Whether the window is a row of the pool."""
        return self.row is not None

    @property
    def top(self) -> int:
        """The end of what was written."""
        return max((runs[-1][1] for runs in self._runs if runs), default=self.base)

    def law(self, channel: int) -> int:
        """The law of a channel's newest codes."""
        return self._laws[channel]

    def reaches(self, channel: int) -> int:
        """Where the last run of a channel ends: from there on nothing was written."""
        runs = self._runs[channel]
        return runs[-1][1] if runs else self.base

    def write(self, channel: int, position: int, pcm: Pcm) -> int:
        """Place samples where none were; returns how many found no room (beyond the largest window)."""
        start, end, lost = self._room(position, position + len(pcm))
        if start < end:
            frames = self._linear_frames(end)
            self._linear = max(self._linear, end)
            for first, last in self._fresh(channel, start, end):
                frames[first - self.base : last - self.base, channel] = pcm[
                    first - position : last - position
                ]
        return lost

    def write_codes(self, channel: int, position: int, codes: Codes, law: int) -> int:
        """The same for G.711."""
        if law != self._laws[channel]:
            self._change_law(channel, law)
        start, end, lost = self._room(position, position + len(codes))
        if start < end:
            into = self._coded(end) if self._frames is None else self._linear_frames(end)
            sound = codes if self._frames is None else TABLES[law][codes]
            for first, last in self._fresh(channel, start, end):
                into[first - self.base : last - self.base, channel] = sound[
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
            self._linear_frames(end)[start - self.base : end - self.base, channel] = 0
            self._linear = max(self._linear, end)
            for _ in self._fresh(channel, start, end):
                pass

    def erase(self, start: int, end: int) -> None:
        """Both channels as if nothing had been written in `[start, end)`."""
        start = max(start, self.base)
        if start >= end:
            return
        for held in (self._codes, self._frames):
            if held is not None:
                held[start - self.base : end - self.base] = 0
        for runs in self._runs:
            kept = [[first, min(last, start)] for first, last in runs if first < start]
            runs[:] = kept + [[max(first, end), last] for first, last in runs if last > end]

    def take(self, until: int) -> list[Stretch]:
        """Hand out everything before `until`, and leave silence in its place."""
        base, until = self.base, max(until, self.base)
        first, last = until, base  # between them everything that was written lies
        for runs in self._runs:
            if runs and runs[0][0] < until:
                end = runs[0][1] if len(runs) == 1 else max(end for start, end in runs if start < until)
                first = min(first, runs[0][0])
                last = max(last, min(end, until))
        if last <= first:
            first = last = until
        stretches = [Stretch(base, first, None)] if base < first else []
        if first < last:
            stretches.append(Stretch(first, last, self._sound(first, last)))
        if last < until:
            stretches.append(Stretch(last, until, None))
        self._advance(until)
        return stretches

    def began(self, channel: int) -> int:
        """Where the last run of a channel begins: from there to its end there is no gap."""
        runs = self._runs[channel]
        return runs[-1][0] if runs else self.base

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written that was not handed out."""
        return not any(self._runs)

    def moved_on(self, base: int, left: int = 0, right: int = 0) -> None:
        """Everything before `base` was handed out of the row by another hand, which wrote both channels on
        without a gap, up to `left` and `right`. Or the window is empty."""
        self.base = base
        for runs, end in zip(self._runs, (left, right), strict=True):
            runs[:] = [[base, end]] if end > base else []

    def rest(self) -> None:
        """Give the memory back while nothing is written in it."""
        if not any(self._runs):
            self._drop_codes()
            self._frames = None

    def discard(self) -> None:
        """The recording is over: nothing of it stays in memory."""
        self.erase(self.base, self.top)
        self.rest()

    def _room(self, start: int, end: int) -> tuple[int, int, int]:
        limit = self.base + self._max_frames
        return max(start, self.base), min(end, limit), max(end - max(limit, start), 0)

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

    # Codes and linear frames.

    def _coded(self, end: int) -> Codes:
        """The codes, with room up to `end`."""
        if self._codes is None or end - self.base > len(self._codes):
            return self._move_to(self._pool.take_row(end - self.base))
        return self._codes

    def _move_to(self, row: Row) -> Codes:
        if self._codes is not None:
            used = self.top - self.base
            row.codes[:used] = self._codes[:used]
            self._drop_codes()
        self.row, self._codes = row, row.codes
        return row.codes

    def _linear_frames(self, end: int) -> Pcm:
        """Linear frames, with room up to `end`."""
        held = self._frames
        room = max(end, self.top) - self.base
        if held is None or len(held) < room:
            grown = np.zeros(
                (max(room, LEAST_LINEAR, 0 if held is None else 2 * len(held)), CHANNELS), np.int16
            )
            if held is not None:
                grown[: len(held)] = held
            elif self._codes is not None:
                self._decode(grown, self.base)
                self._drop_codes()
            self._frames = grown
            return grown
        return held

    def _change_law(self, channel: int, law: int) -> None:
        """What is there of the old law can't stay as codes."""
        if self._runs[channel]:
            self._linear_frames(self.top)
            self._linear = max(self._linear, self.reaches(channel))
        self._laws[channel] = law

    def _decode(self, frames: Pcm, begin: int) -> None:
        """All runs that lie within `frames`, which begin at `begin`."""
        assert self._codes is not None
        for channel, runs in enumerate(self._runs):
            for start, end in runs:
                codes = self._codes[start - self.base : end - self.base, channel]
                frames[start - begin : end - begin, channel] = TABLES[self._laws[channel]][codes]

    def _encode(self) -> None:
        """What is left is G.711 again: each sample has one code that gives it back."""
        frames, self._frames = self._frames, None
        assert frames is not None
        codes = self._coded(self.top)
        for channel, runs in enumerate(self._runs):
            encode = ENCODERS[self._laws[channel]]
            for start, end in runs:
                pcm = np.ascontiguousarray(frames[start - self.base : end - self.base, channel])
                codes[start - self.base : end - self.base, channel] = encode(pcm)

    def _drop_codes(self) -> None:
        """Give the row back as it was taken."""
        if self.row is not None:
            self.row.codes[: self.top - self.base] = 0
            self._pool.give_back(self.row)
        self.row = self._codes = None

    # Handing out.

    def _sound(self, first: int, last: int) -> bytes:
        if self._frames is not None:
            return self._frames[first - self.base : last - self.base].tobytes()
        assert self._codes is not None
        codes = self._codes[first - self.base : last - self.base]
        frames = decode_both(codes[:, 0], codes[:, 1], (self._laws[0], self._laws[1]))
        for channel, runs in enumerate(self._runs):
            if runs and runs[0][0] <= first and runs[0][1] >= last:
                continue  # as nearly always
            for start, end in _gaps(runs, first, last):
                frames.view(np.int16)[2 * (start - first) + channel : 2 * (end - first) : 2] = 0
        return frames.tobytes()

    def _advance(self, until: int) -> None:
        """Move what lies behind `until` to the front."""
        used, left = self.top - self.base, max(self.top - until, 0)
        self._trim(until)
        if self._codes is not None:
            self._codes[:left] = self._codes[used - left : used]
            self._codes[left:used] = 0
        if self._frames is not None:
            self._frames = self._frames[used - left : used].copy() if left else None
        self.base = until
        if self._frames is not None and self._linear <= until:
            self._encode()
        if self._codes is not None and left <= self._pool.row_frames < len(self._codes):
            self._move_to(self._pool.take_row(left))

    def _trim(self, until: int) -> None:
        for runs in self._runs:
            if runs and runs[0][0] < until:
                if len(runs) == 1 and runs[0][1] > until:
                    runs[0][0] = until
                else:
                    runs[:] = [[max(start, until), end] for start, end in runs if end > until]


def _gaps(runs: list[list[int]], first: int, last: int) -> list[tuple[int, int]]:
    """The parts of `[first, last)` that are in no run."""
    gaps, at = [], first
    for start, end in runs:
        if start >= last:
            break
        if start > at:
            gaps.append((at, start))
        at = max(at, end)
    if at < last:
        gaps.append((at, last))
    return gaps


def _merge(runs: list[list[int]], start: int, end: int) -> list[tuple[int, int]]:
    """Add `[start, end)` to ascending runs; returns what of it was not in them."""
    first = bisect_left(runs, start, key=_END)
    last = bisect_right(runs, end, key=_START)
    fresh, at = [], start
    for begun, ended in runs[first:last]:
        if at < begun:
            fresh.append((at, begun))
        at = max(at, ended)
    if at < end:
        fresh.append((at, end))
    if first < last:
        start = min(start, runs[first][0])
    runs[first:last] = [[start, max(at, end)]]
    return fresh


def decode_both(left: Codes, right: Codes, laws: tuple[int, int]) -> NDArray[np.uint32]:
    """Interleaved frames of the codes of both channels, by one look-up a frame."""
    both = right.astype(np.uint16)
    both <<= 8
    both |= left
    return STEREO[laws[0]][laws[1]].take(both, mode="clip")  # none is out of range: so none is looked at


def _stereo(left: Pcm, right: Pcm) -> NDArray[np.uint32]:
    """A frame for each two codes; the left one is the lower byte."""
    codes = np.arange(1 << 16, dtype="<u2").view(np.uint8).reshape(-1, CHANNELS)
    frames: Pcm = np.stack([left[codes[:, 0]], right[codes[:, 1]]], axis=1).astype("<i2")
    table: NDArray[np.uint32] = frames.reshape(-1).view("<u4")
    table.flags.writeable = False
    return table


STEREO = tuple(tuple(_stereo(left, right) for right in TABLES) for left in TABLES)
