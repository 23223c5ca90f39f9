"""The fast lane: what the rule of media time does with a regular packet, for hundreds of streams at once.

A leg whose stream runs steadily is *lent* to a lane: a row of numbers that says exactly which packet must
come next and where it will lie. A packet that is this very one is placed by arithmetic over all lanes;
any other is refused, its lane recalled, and the rule itself decides. So a lane never judges: it only
knows the case in which there is nothing to judge, and files and counters are the same without it.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.clock import NS_PER_S
from mediaproxy.recording.compiled import CompiledLanes
from mediaproxy.recording.live import LATE_PAYLOAD_MS, PHASE, Ease, LiveRecording
from mediaproxy.recording.packets import Margins, Packet
from mediaproxy.recording.ring import HAS_PAYLOAD, HEADER
from mediaproxy.recording.streams import Stream
from mediaproxy.recording.tracks import G711_HZ, OTHERS, Track
from mediaproxy.recording.transits import SLICES_PER_S, LeastTransits
from mediaproxy.recording.window import CHANNELS, WindowPool

Ints = NDArray[np.int64]

MAX_BATCH = 512  # more would leave the nearest cache
MAX_SAMPLES = 60 * G711_HZ // 1000  # a longer packet is no regular one
SLICE = G711_HZ // SLICES_PER_S
NS_PER_SAMPLE = NS_PER_S // G711_HZ
ANY_MARKER = ~(0xFF << 24)  # a talkspurt's begin changes nothing
NOWHERE = 1 << 60
NOT_LENT = -1  # no record's words: payload type, leg and flags are never all ones

# The numbers of a lane, a column a lane. WHO and NEXT are words of the record that must come: leg, flags,
# payload type and SSRC; sequence number, length and timestamp. INTO is the index in its block of the window's
# first sample, ROOM how many samples behind it there is room for, BASE where the window begins.
# Between BEGAN and POSITION every sample of its channel is there; LAW is shifted by the channel.
WHO, NEXT, ANSWERED, POSITION, LAST, FLOOR, DUE, ROOM, OFFSET, ROW, COUNT, GROUP, INTO, BASE = range(14)
BEGAN, LAW = 14, 15
NUMBERS = 16


class Batch(NamedTuple):
    """Records as words (see `WHO`, `NEXT`); `at` is where their payload lies."""

    who: Ints
    next: Ints
    arrival_ns: Ints
    earliest_ns: Ints
    at: Ints

    def pick(self, chosen: NDArray[np.bool_] | Ints | slice) -> "Batch":
        return Batch(
            self.who[chosen],
            self.next[chosen],
            self.arrival_ns[chosen],
            self.earliest_ns[chosen],
            self.at[chosen],
        )


class Lanes:
    """Two lanes a slot, `slot * 2 + leg`."""

    __slots__ = ("_compiled", "_lanes", "_lent", "_margins", "_pool", "_transits", "_views", "ease")

    def __init__(
        self, pool: WindowPool, transits: LeastTransits, compiled: CompiledLanes | None = None
    ) -> None:
        self._compiled = compiled
        self._pool = pool
        self._transits = transits
        self._margins = Margins.of(G711_HZ)
        self._lanes: Ints = np.full((NUMBERS, 0), NOT_LENT, dtype=np.int64)
        # By slot, while nothing but lanes touches the call.
        self.ease: NDArray[np.int8] = np.zeros(0, dtype=np.int8)
        self._lent: dict[int, tuple[LiveRecording, Track, Stream]] = {}
        self._views: dict[tuple[int, int], NDArray[np.void]] = {}

    @property
    def numbers(self) -> Ints:
        """All lanes, a column each."""
        return self._lanes

    def resize(self, slots: int) -> None:
        """Room for so many slots; what is lent stays."""
        # For the compiled twin a lane's numbers lie side by side.
        order: Literal["C", "F"] = "C" if self._compiled is None else "F"
        grown = np.full((NUMBERS, slots * 2), NOT_LENT, dtype=np.int64, order=order)
        grown[:, : self._lanes.shape[1]] = self._lanes
        self._lanes = grown
        self.ease = np.append(self.ease, np.zeros(slots - len(self.ease), dtype=np.int8))

    def lend(self, live: LiveRecording, leg: int, stream: Stream, packet: Packet) -> None:
        """Lend the leg, if its stream runs so steadily that its next packet is known."""
        track, window, gate = live.tracks[leg], live.window, live.states.gate
        if live.clock.sample_rate != G711_HZ or not 0 < packet.samples <= MAX_SAMPLES or packet.digit:
            return
        if not stream.is_steady(packet, live.openings) or (gate.is_open and packet.law >= OTHERS):
            return
        if gate.is_open:
            floor, flags = gate.openings[-1].start, HAS_PAYLOAD
            if packet.arrival < floor or packet.payload is None:
                return
            if packet.end + min(stream.spread(packet).early, -self._margins.lower) < floor:
                return  # what comes may begin before the opening
            if window.row is None or not window.in_row or window.law(track.channel) != packet.law:
                return
            if window.reaches(track.channel) != packet.end:
                return
            into, room = window.row.begins(track.channel), len(window.row.codes)
            group = window.row.block
        else:
            closed_at = gate.closed_at
            floor = -NOWHERE if closed_at is None else closed_at + LATE_PAYLOAD_MS * G711_HZ // 1000 + 1
            into, room, group, flags = 0, NOWHERE, -1, 0
        self._lent[live.slot * 2 + leg] = (live, track, stream)
        assert stream.offset is not None
        self._lanes[:, live.slot * 2 + leg] = (
            _signed(leg | flags << 8 | packet.payload_type << 16 | stream.ssrc << 32),
            _signed(
                (packet.seq + 1) & 0xFFFF
                | packet.samples << 16
                | ((packet.timestamp + packet.samples) & 0xFFFFFFFF) << 32
            ),
            live.clock.answered_ns,
            packet.end,
            packet.arrival,
            floor,
            stream.due,
            room,
            stream.offset,
            stream.row,
            0,
            group,
            into,
            window.base,
            window.began(track.channel),
            packet.law << track.channel,
        )

    def recall(self, live: LiveRecording) -> None:
        """Take both legs back, so that the call is as if every packet had gone by the rule."""
        self.recall_leg(live.slot * 2)
        self.recall_leg(live.slot * 2 + 1)

    def recall_leg(self, lane: int) -> None:
        self.ease[lane >> 1] = Ease.NONE
        lent = self._lent.pop(lane, None)
        if lent is None:
            return
        live, track, stream = lent
        self._catch_up(live, lane)
        numbers: list[int] = self._lanes[:, lane].tolist()
        self._lanes[WHO, lane] = NOT_LENT
        stream.advance(numbers[COUNT], numbers[LAST])
        if numbers[GROUP] >= 0:
            live.window.extend(track.channel, numbers[POSITION])

    def before_touch(self, live: LiveRecording) -> None:
        """Tell the window how far its tracks were handed out and written."""
        for lane in (live.slot * 2, live.slot * 2 + 1):
            lent = self._lent.get(lane)
            if lent is not None and self._lanes.item(GROUP, lane) >= 0:
                self._catch_up(live, lane)
                live.window.extend(lent[1].channel, self._lanes.item(POSITION, lane))

    def after_touch(self, live: LiveRecording) -> None:
        """The window may have left its row: nothing can be written there any more."""
        row = live.window.row
        for lane in (live.slot * 2, live.slot * 2 + 1):
            if lane in self._lent and self._lanes.item(GROUP, lane) >= 0:
                channel = self._lent[lane][1].channel
                there = self._lanes.item(GROUP, lane), self._lanes.item(INTO, lane)
                if row is None or there != (row.block, row.begins(channel)):
                    self.recall_leg(lane)

    def after_take(self, live: LiveRecording) -> None:
        """The window moved on."""
        self._lanes[BASE, live.slot * 2 : live.slot * 2 + 2] = live.window.base

    def place(self, lanes: Ints, batch: Batch, records: NDArray[np.void]) -> NDArray[np.bool_]:
        """Place what is regular, at most one record a lane; true where a record was placed."""
        numbers = self._lanes.take(lanes, axis=1)
        length = batch.next >> 16 & 0xFFFF
        arrival = (batch.arrival_ns - numbers[ANSWERED]) // NS_PER_SAMPLE
        end = numbers[POSITION] + length
        regular = self._regular(numbers, batch, arrival, end)
        if not regular.all():
            numbers, lanes, batch = numbers[:, regular], lanes[regular], batch.pick(regular)
            length, arrival, end = length[regular], arrival[regular], end[regular]
        if len(lanes):
            transits = arrival - end + numbers[OFFSET]
            self._transits.note_many(numbers[ROW], arrival // SLICE, transits)
            into = numbers[INTO] + numbers[POSITION] - numbers[BASE]
            self._write(numbers[GROUP] << 16 | length, into, records, batch.at)
            self._lanes[NEXT, lanes] = _successors(batch.next)
            self._lanes[POSITION, lanes] = end
            self._lanes[LAST, lanes] = arrival
            self._lanes[COUNT, lanes] = numbers[COUNT] + 1
        return regular

    def take(self, slots: Ints, frames: int) -> tuple[Ints, list[memoryview]]:
        """Hand out the next `frames` of those calls both of whose tracks are full up to there: which they
        are, and what they said."""
        if self._compiled is not None:
            return self._compiled.take(slots, frames)
        left, right = self._lanes.take(slots * 2, axis=1), self._lanes.take(slots * 2 + 1, axis=1)
        until = left[BASE] + frames
        steady = (until + PHASE) % frames == 0
        for numbers in (left, right):
            steady &= (numbers[WHO] != NOT_LENT) & (numbers[GROUP] >= 0)
            steady &= (numbers[BEGAN] <= numbers[BASE]) & (numbers[POSITION] > until)
            steady &= numbers[ROOM] == self._pool.row_frames
        chosen = np.flatnonzero(steady)
        slots, left, right = slots[chosen], left[:, chosen], right[:, chosen]
        order: list[Ints] = []
        taken: list[memoryview] = []
        for kind, same in _alike(left[GROUP] << 2 | left[LAW] | right[LAW]):
            rows = left[INTO, same] // (CHANNELS * self._pool.row_frames)
            used = int((np.maximum(left[POSITION, same], right[POSITION, same]) - left[BASE, same]).max())
            order.append(slots[same])
            taken += self._pool.take_front(kind >> 2, rows, frames, used, (kind & 1, kind >> 1 & 1))
        self._lanes[BASE, slots * 2] = self._lanes[BASE, slots * 2 + 1] = left[BASE] + frames
        return np.concatenate(order) if order else slots, taken

    def bases(self, slots: Ints) -> Ints:
        """Where the windows of calls begin that lend a leg."""
        bases: Ints = self._lanes[BASE, slots * 2]
        return bases

    def _catch_up(self, live: LiveRecording, lane: int) -> None:
        """Tell the window what was handed out since it was looked at last: both legs are lent since then."""
        base = self._lanes.item(BASE, lane)
        if base > live.window.base:
            ends: list[int] = self._lanes[POSITION, live.slot * 2 : live.slot * 2 + 2].tolist()
            if live.tracks[0].channel:
                ends.reverse()
            live.window.moved_on(base, *ends)

    def _regular(self, numbers: Ints, batch: Batch, arrival: Ints, end: Ints) -> NDArray[np.bool_]:
        earliest = (batch.earliest_ns - numbers[ANSWERED]) // NS_PER_SAMPLE
        regular: NDArray[np.bool_] = numbers[WHO] == batch.who
        regular &= numbers[NEXT] == batch.next
        regular &= earliest - numbers[LAST] <= self._margins.gap
        regular &= end >= earliest - self._margins.raised
        regular &= end <= arrival + self._margins.lower
        regular &= end - numbers[BASE] <= numbers[ROOM]
        regular &= arrival >= numbers[FLOOR]
        regular &= arrival < numbers[DUE]
        return regular

    def _write(self, groups: Ints, into: Ints, records: NDArray[np.void], at: Ints) -> None:
        """Copy the codes as they are, for each block of windows and length at once."""
        for group, chosen in _alike(groups):
            if group < 0:
                continue  # closed lanes: there is nothing to write
            length = group & 0xFFFF
            view, payload = self._view(group >> 16, length), _payload(records, length)
            for first in range(0, len(chosen), MAX_BATCH):
                some = chosen[first : first + MAX_BATCH]
                view[into[some]] = payload[at[some]]

    def _view(self, block: int, length: int) -> NDArray[np.void]:
        """`view[i]` are the `length` samples of one channel that begin at index i of the block."""
        view = self._views.get((block, length))
        if view is None:
            rows = self._pool.blocks[block]
            view = np.ndarray((rows.size - length + 1,), f"V{length}", rows, strides=(1,))
            self._views[block, length] = view
        return view


def _payload(records: NDArray[np.void], length: int) -> NDArray[np.void]:
    """The first bytes of each record's payload."""
    return np.ndarray(records.shape, f"V{length}", records, HEADER.size, records.strides)


def _alike(groups: Ints) -> Iterator[tuple[int, Ints]]:
    """Each group with the indices that it stands at. Mostly there is but one."""
    left = np.arange(len(groups))
    while len(left):
        same = groups[left] == groups[left[0]]
        yield int(groups[left[0]]), left[same]
        left = left[~same]


def _successors(words: Ints) -> Ints:
    """The words of the packets that follow: the next sequence number, the timestamp a length on."""
    rest: Ints = (words & ~0xFFFF) + ((words & 0xFFFF0000) << 16)
    return rest | words + 1 & 0xFFFF


def _signed(word: int) -> int:
    return word - (1 << 64) if word >> 63 else word
