"""Media time: where on the call clock a packet's audio lies.

Everything is counted in samples of the file, which are the timestamp units of the codecs that we decode.
A is a packet's arrival, A0 the earliest moment at which it can have arrived (the drain mark before its
pass), D the drain mark. Each stream (leg, SSRC) has one offset: `position = unwrapped timestamp + offset`.
A packet carries the past: its last sample lies at its arrival if nothing delayed it, so its *transit*
is A - end timestamp, and the least transit of many is the offset that the network did not add to.

* Anchor: the first 300 ms of a stream are held, then all placed at their least transit.
* A packet fits when its end lies between A0 - 300 ms and A + 200 ms. More than 20 ms ahead of A lowers the
  offset to this packet's transit.
* What does not fit is held. 300 ms of it that agree within 20 ms, first half against second, move the
  offset to their least transit; a fitting packet first, or 400 ms without agreement: dropped as late.
* After a gap (A0 - previous A > 150 ms, so never a stall of ours) 300 ms are held; the offset moves only
  if their least transit is more than 60 ms above or 20 ms below it.
* At an opening after more than a second of closed gate the offset is the least transit of ten seconds.

A move is valid from its timestamp on; older timestamps keep the old offset.
"""

from dataclasses import dataclass
from enum import Enum

from mediaproxy.recording.transits import LeastTransits
from mediaproxy.serial import signed_distance, unwrap

HOLD_MS = 300
AGREE_MS = 20
GIVE_UP_MS = 400
LATE_MS = 300
AHEAD_MS = 200
LOWER_MS = 20
GAP_MS = 150
GAP_ABOVE_MS = 60
GAP_BELOW_MS = 20
CLOSED_MS = 1_000
KEEP_TRANSITS_MS = 1_000  # a larger move is another timeline: its transits can't be compared

MAX_HELD = 1_024  # packets; twenty seconds of usual ones
MAX_MOVES = 4
MAX_SEQ_JUMP = 3_000  # beyond it the sender began anew (RFC 3550 A.1), nothing was lost
_SEEN = (1 << 128) - 1


@dataclass(frozen=True, slots=True)
class Margins:
    """The rule's times in samples."""

    rate: int
    hold: int
    agree: int
    give_up: int
    late: int
    ahead: int
    lower: int
    gap: int
    gap_above: int
    gap_below: int
    closed: int
    keep_transits: int

    @classmethod
    def of(cls, rate: int) -> "Margins":
        times = (
            HOLD_MS, AGREE_MS, GIVE_UP_MS, LATE_MS, AHEAD_MS, LOWER_MS,
            GAP_MS, GAP_ABOVE_MS, GAP_BELOW_MS, CLOSED_MS, KEEP_TRANSITS_MS,
        )  # fmt: skip
        return cls(rate, *(ms * rate // 1000 for ms in times))


class Packet:
    """One record of the ring. `samples` is 0 when it holds no audio that we place. A `digit` is the span
    of a withheld one. `start` is the unwrapped timestamp, `position` the outcome."""

    __slots__ = (
        "arrival", "digit", "earliest", "law", "payload", "payload_type", "position", "samples", "seq",
        "start", "timestamp",
    )  # fmt: skip

    def __init__(
        self,
        earliest: int,
        arrival: int,
        seq: int,
        timestamp: int,
        samples: int,
        payload: bytes | None = None,
        law: int = 0,
        *,
        payload_type: int = 0,
        digit: bool = False,
    ) -> None:
        self.earliest = earliest
        self.arrival = arrival
        self.seq = seq
        self.timestamp = timestamp
        self.samples = samples
        self.payload = payload
        self.law = law
        self.payload_type = payload_type
        self.digit = digit
        self.start = timestamp
        self.position = 0

    @property
    def transit(self) -> int:
        return self.arrival - self.start - self.samples

    @property
    def end(self) -> int:
        return self.position + self.samples


class Why(Enum):
    """Why packets are held."""

    ANCHOR = "anchor"
    GAP = "gap"
    UNFIT = "unfit"


@dataclass(slots=True)
class Hold:
    why: Why
    since: int  # arrival of the first packet
    earliest: int  # A0 of the first packet: nothing from 400 ms before it on is final
    packets: list[Packet]


class Stream:
    """One SSRC of a leg. `receive` and `settle` return the packets that now have a position."""

    __slots__ = (
        "_margins", "_moves", "_openings", "_row", "_seen", "_transits", "codec", "duplicate", "hold",
        "last_arrival", "last_seq", "late", "lost", "offset", "packets", "reanchors", "reordered", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, margins: Margins, transits: LeastTransits, openings: int = 0) -> None:
        self.ssrc = ssrc
        self.codec = ""
        self.offset: int | None = None
        self.hold: Hold | None = None
        self.last_arrival = 0
        self.last_seq: int | None = None
        self.packets = self.lost = self.late = self.duplicate = self.reordered = self.reanchors = 0
        self._seen = 0  # bit n: the packet n before the highest was seen
        self._moves: list[tuple[int, int]] = []  # (first timestamp of the new offset, the old one)
        self._margins = margins
        self._transits = transits
        self._row = transits.take_row()
        self._openings = openings

    def receive(self, packet: Packet, *, is_open: bool) -> list[Packet]:
        """Place a packet, and what its arrival settles; `is_open`: a move now is a re-anchor."""
        placed = self.settle(packet.earliest, is_open=is_open)
        if not self._count(packet.seq):
            return placed
        if packet.digit:
            return placed + self._span(packet)
        if not packet.samples:
            return placed
        gap = packet.earliest - self.last_arrival > self._margins.gap
        self.last_arrival = packet.arrival
        if self.hold is not None and self.hold.why is not Why.UNFIT:
            return placed + self._keep(packet, is_open=is_open)
        if self.offset is None:
            return placed + self._begin(Why.ANCHOR, packet)
        if gap and self.hold is None:
            return placed + self._begin(Why.GAP, packet)
        return placed + self._fit(packet, self.offset, is_open=is_open)

    def settle(self, mark: int, *, is_open: bool) -> list[Packet]:
        """Everything that arrived before `mark` has been received: a hold may end."""
        hold = self.hold
        if hold is None or mark - hold.since < self._margins.hold:
            return []
        if hold.why is not Why.UNFIT:
            return self._release(hold, is_open=is_open)
        if self._agree(hold):
            return self._release(hold, is_open=is_open)
        if mark - hold.since >= self._margins.give_up:
            self._drop(hold)
        return []

    def finish(self, *, is_open: bool) -> list[Packet]:
        """No more packets will come: place what is held, as far as it can be."""
        hold = self.hold
        if hold is None:
            return []
        if hold.why is not Why.UNFIT:
            return self._release(hold, is_open=is_open)
        self._drop(hold)
        return []

    def opened(self, openings: list[int], arrival: int, *, is_open: bool) -> list[Packet]:
        """The gate opened at `openings`, each after more than a second closed: where nothing of it was
        placed, the newest measure of the network is the best one. What is still held came before."""
        placed: list[Packet] = []
        while self._openings < len(openings) and openings[self._openings] <= arrival:
            least = self._transits.least(self._row, openings[self._openings] // self._margins.rate)
            if self.offset is not None and least is not None:
                placed += self.finish(is_open=is_open)
                self.offset = least
                self._moves.clear()
            self._openings += 1
        return placed

    def advance(self, packets: int, arrival: int) -> None:
        """As many packets were received in order, each placed where the one before it ended."""
        if packets and self.last_seq is not None:
            self.packets += packets
            self.last_seq = (self.last_seq + packets) & 0xFFFF
            shift = min(packets, _SEEN.bit_length())
            self._seen = (self._seen << shift | (1 << shift) - 1) & _SEEN
            self.last_arrival = arrival

    def is_steady(self, packet: Packet, openings: int) -> bool:
        """Whether the packet just placed is the newest and its successor would be placed next to it."""
        return (
            self.hold is None
            and self.offset is not None
            and packet.seq == self.last_seq
            and self._openings == openings
            and self._is_newest(packet.start)
            and packet.position == packet.start + self.offset
        )

    @property
    def row(self) -> int:
        return self._row

    def resume(self) -> None:
        """Packets passed untapped: the next sequence number tells nothing about loss."""
        self.last_seq = None

    def give_back(self) -> None:
        self._transits.give_back(self._row)

    # Sequence numbers.

    def _count(self, seq: int) -> bool:
        """Count a packet; false when it is a duplicate."""
        self.packets += 1
        ahead = MAX_SEQ_JUMP + 1 if self.last_seq is None else signed_distance(self.last_seq, seq, bits=16)
        if abs(ahead) > MAX_SEQ_JUMP:
            self.last_seq, self._seen = seq, 1
        elif ahead > 0:
            self.last_seq, self._seen = seq, (self._seen << ahead | 1) & _SEEN
            self.lost += ahead - 1
        elif self._seen >> -ahead & 1:
            self.duplicate += 1
            return False
        else:
            self._seen |= 1 << -ahead & _SEEN
            self.reordered += 1
            self.lost = max(self.lost - 1, 0)
        return True

    # Holds.

    def _begin(self, why: Why, packet: Packet) -> list[Packet]:
        if self.offset is not None:
            packet.start = self._unwrapped(packet, self.offset)
        self.hold = Hold(why, packet.arrival, packet.earliest, [packet])
        return []

    def _keep(self, packet: Packet, *, is_open: bool) -> list[Packet]:
        """Hold a packet with those already held, on their timeline."""
        assert self.hold is not None
        held = self.hold.packets
        packet.start = unwrap(held[-1].start, packet.timestamp, bits=32)
        held.append(packet)
        return self.finish(is_open=is_open) if len(held) >= MAX_HELD else []

    def _agree(self, hold: Hold) -> bool:
        middle = hold.since + self._margins.hold // 2
        first = [p.transit for p in hold.packets if p.arrival < middle]
        second = [p.transit for p in hold.packets if p.arrival >= middle]
        return bool(first) and bool(second) and abs(min(first) - min(second)) <= self._margins.agree

    def _release(self, hold: Hold, *, is_open: bool) -> list[Packet]:
        """The held packets tell the offset; then all are placed by it."""
        self.hold = None
        audio = [p for p in hold.packets if not p.digit]
        least = min(p.transit for p in audio)
        if hold.why is not Why.GAP or self._has_moved(
            least, min(p.earliest - p.start - p.samples for p in audio)
        ):
            self._move(least, min(p.start for p in audio), is_open=is_open)
        return [p for p in hold.packets if self._place(p)]

    def _has_moved(self, least: int, earliest: int) -> bool:
        """Whether the network changed in a gap; higher only if so even for the earliest arrivals."""
        if self.offset is None:
            return True
        return (
            least < self.offset - self._margins.gap_below or earliest > self.offset + self._margins.gap_above
        )

    def _drop(self, hold: Hold) -> None:
        self.hold = None
        self.late += len(hold.packets)

    # The offset.

    def _fit(self, packet: Packet, offset: int, *, is_open: bool) -> list[Packet]:
        packet.start = self._unwrapped(packet, offset)
        end = packet.start + packet.samples + self._offset_at(packet.start, offset)
        margins = self._margins
        if not packet.earliest - margins.late <= end <= packet.arrival + margins.ahead:
            if self.hold is None:
                return self._begin(Why.UNFIT, packet)
            return self._keep(packet, is_open=is_open)
        if self.hold is not None:
            self._drop(self.hold)
        if end > packet.arrival + margins.lower and self._is_newest(packet.start):
            self._move(packet.transit, packet.start, is_open=is_open)
        self._place(packet)
        return [packet]

    def _place(self, packet: Packet) -> bool:
        """Give a packet its position; nothing lies further ahead than 200 ms, whatever it claims."""
        assert self.offset is not None
        packet.position = packet.start + self._offset_at(packet.start, self.offset)
        if packet.digit:
            return True
        if packet.end > packet.arrival + self._margins.ahead:
            self.late += 1
            return False
        self._transits.note(self._row, packet.arrival // self._margins.rate, packet.transit)
        return True

    def _span(self, packet: Packet) -> list[Packet]:
        """A withheld digit's span. Without an offset it ends where it arrived."""
        if self.hold is not None and self.hold.why is not Why.UNFIT:
            return self._keep(packet, is_open=False)
        offset = self.offset
        if offset is None:
            packet.position = packet.arrival - packet.samples
            return [packet]
        packet.start = self._unwrapped(packet, offset)
        self._place(packet)
        return [packet]

    def _move(self, offset: int, start: int, *, is_open: bool) -> None:
        """From timestamp `start` on another offset holds."""
        old, self.offset = self.offset, offset
        if old is None or old == offset:
            return
        self._moves = [*self._moves, (start, old)][-MAX_MOVES:]
        self.reanchors += is_open
        if abs(offset - old) >= self._margins.keep_transits:
            self._transits.forget(self._row)

    def _unwrapped(self, packet: Packet, offset: int) -> int:
        """The timestamp nearest to the one that is expected at this arrival: no gap is too long."""
        return unwrap(packet.arrival - packet.samples - offset, packet.timestamp, bits=32)

    def _offset_at(self, start: int, offset: int) -> int:
        for since, old in reversed(self._moves):
            if start >= since:
                break
            offset = old
        return offset

    def _is_newest(self, start: int) -> bool:
        return not self._moves or start >= self._moves[-1][0]
