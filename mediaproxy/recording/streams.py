"""Media time: where on the call clock a packet's audio lies.

Everything is counted in samples of the file; only timestamps and what a packet lasts are in ticks of the
stream's RTP clock. A is a packet's arrival, A0 the earliest moment at which it can have arrived (the drain
mark before its pass), D the drain mark. Each stream (leg, SSRC) has one offset: `position = unwrapped
timestamp * rate // clock + offset`. A packet carries the past: its last sample lies at its arrival if
nothing delayed it, so its *transit* is A - end timestamp, and the least transit of many is the offset that
the network did not add to.

* Anchor: the first 300 ms of a stream are held, then all placed at their least transit.
* A packet fits when its end lies between A0 - 300 ms and A + 200 ms. More than 20 ms ahead of A lowers the
  offset to this packet's transit.
* What does not fit is held. 300 ms of it that agree within 20 ms, first half against second, move the
  offset to their least transit; a fitting packet first, or 400 ms without agreement: dropped as late.
* After a gap (A0 - previous A > 150 ms, so never a stall of ours) 300 ms are held; the offset moves only
  if their least transit is more than 60 ms above or 20 ms below it.
* At an opening after more than a second of closed gate the offset is the least transit of ten seconds.
* At the edges of an interval a packet may lie elsewhere, too: see `Stream.spread`.
* A newer packet whose timestamp lies behind the older one's end is the sender's doing, never the network's:
  the transits before such a move say nothing about those after it.
* The least transit of ten seconds more than 100 ms above the offset raises it: a hole, no audio lost.
* Two clocks drift apart: the offset slips after its target (see `drift`), a sample at a time.

A move is valid from its timestamp on; older timestamps keep the old offset.
"""

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from mediaproxy.recording.drift import Drift
from mediaproxy.recording.packets import MAX_MISORDER, Margins, Packet
from mediaproxy.recording.transits import SLICES_PER_S, LeastTransits
from mediaproxy.serial import signed_distance, unwrap

# Slices, the last quarter to half of a second: what all of them show at an interval's end is a slower route.
# Two seconds would forget fewer samples that a queue holds, and let in more that a new route brings.
RECENT = 2
MAX_HELD = 1_024  # packets; twenty seconds of usual ones
MAX_MOVES = 8  # slips among them: three in the 300 ms that a packet may be late
MAX_SEQ_JUMP = 3_000  # further ahead the sender began anew (RFC 3550 A.1), nothing was lost
MAX_TICKS_MS = 120  # no packet lasts longer (RFC 6716)
_SEEN = (1 << MAX_MISORDER) - 1
_TIMESTAMPS = (1 << 32) - 1


class Spread(NamedTuple):
    """Where else a packet may lie: at most `early` (not positive) and `late` (not negative) from its
    position, by what the network showed of late."""

    early: int
    late: int


NOWHERE_ELSE = Spread(0, 0)


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
    first: int | None = None  # the least transit of the first half
    second: int | None = None  # and of the second

    def measure(self, packet: Packet, middle: int) -> None:
        transit = packet.transit
        if packet.arrival < middle:
            self.first = transit if self.first is None else min(self.first, transit)
        else:
            self.second = transit if self.second is None else min(self.second, transit)

    def agrees(self, within: int) -> bool:
        return self.first is not None and self.second is not None and abs(self.first - self.second) <= within


class Stream:
    """One SSRC of a leg. `receive` and `settle` return the packets that now have a position."""

    __slots__ = (
        "_anew", "_clock_hz", "_drift", "_heard", "_margins", "_moves", "_next", "_openings", "_row", "_seen",
        "_slips_at", "_ticks", "_transits", "_went_back", "codec", "due", "duplicate", "hold",
        "last_arrival", "last_seq", "late", "lost", "offset", "packets", "reanchors",
        "reordered", "slips", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, margins: Margins, transits: LeastTransits, openings: int = 0) -> None:
        self.ssrc = ssrc
        self.codec = ""
        self.offset: int | None = None
        self.hold: Hold | None = None
        self.last_arrival = 0
        self.last_seq: int | None = None
        self.due = 0  # the arrival from which on the drift has to be looked at
        self.packets = self.lost = self.late = self.duplicate = self.reordered = 0
        self.reanchors = self.slips = 0
        self._seen = 0  # bit n: the packet n before the highest was seen
        self._anew: int | None = None  # the number that would confirm that the sender began anew
        self._moves: list[tuple[int, int]] = []  # (first timestamp of the new offset, the old one)
        self._margins = margins
        self._transits = transits
        self._row = transits.take_row()
        self._openings = openings
        self._clock_hz: int | None = None
        self._drift = Drift(margins.rate)
        # No network sends a newer packet's timestamp back before the older one's end: the sender did.
        self._went_back = False
        self._heard = 0  # packets with audio that were placed
        self._slips_at = 0  # the arrival from which on a slip may be made
        self._next = self._ticks = 0  # the timestamp that follows the newest packet's, and what that lasts

    def receive(self, packet: Packet, *, is_open: bool) -> list[Packet]:
        """Place a packet, and what its arrival settles; `is_open`: a move now is a re-anchor."""
        placed = self.settle(packet.earliest, is_open=is_open)
        if not self._count(packet.seq):
            return placed
        if packet.digit:
            return placed + self._span(packet)
        if not packet.ticks:
            return placed
        if packet.clock_hz != self._clock_hz:
            placed += self._begin_anew(packet.clock_hz, is_open=is_open)
        gap = packet.earliest - self.last_arrival > self._margins.gap
        self.last_arrival = packet.arrival
        self._follow(packet)
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
        if hold.agrees(self._margins.agree):
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
            least = self._transits.least(self._row, self._slice(openings[self._openings]))
            if self.offset is not None and least is not None:
                placed += self.finish(is_open=is_open)
                self.offset = self._drift.target = least
                self._moves.clear()
            self._openings += 1
        return placed

    def spread(self, packet: Packet) -> Spread:
        """Where else a placed packet may lie. A packet of another timeline can't be compared."""
        by = packet.position - packet.start
        now = self._slice(max(packet.arrival, self.last_arrival))
        least = self._transits.least(self._row, now)
        since = self._slice(packet.earliest)  # a stall of ours makes nothing late
        recent = self._transits.least(self._row, now, RECENT + now - since)
        if least is None or self.offset is None or abs(by - self.offset) >= self._margins.keep_transits:
            return NOWHERE_ELSE
        recent = least if recent is None else recent
        return Spread(min(least - by, 0), max(recent - by, 0))

    def usual_ticks(self, seq: int, timestamp: int, clock_hz: int) -> int:
        """What a packet lasts of which only the header is known: as long as the last one did, which its
        successor's timestamp tells; 20 ms at first."""
        follows = self.last_seq is not None and seq == (self.last_seq + 1) & 0xFFFF
        apart = (timestamp - self._next + self._ticks) & _TIMESTAMPS
        if follows and 0 < apart <= MAX_TICKS_MS * clock_hz // 1000:
            return apart
        return self._ticks or clock_hz // 50

    def advance(self, packets: int, arrival: int) -> None:
        """As many packets were received in order, each placed where the one before it ended."""
        if packets and self.last_seq is not None:
            self.packets += packets
            self._heard += packets
            self._went_back = False
            self.last_seq = (self.last_seq + packets) & 0xFFFF
            shift = min(packets, _SEEN.bit_length())
            self._seen = (self._seen << shift | (1 << shift) - 1) & _SEEN
            self._next = (self._next + packets * self._ticks) & _TIMESTAMPS
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

    @property
    def clock_hz(self) -> int | None:
        """The RTP clock of its audio; None: the file's rate."""
        return self._clock_hz

    @property
    def ppm(self) -> int | None:
        """By how much the sender's clock runs faster than ours, as far as it was measured."""
        return self._drift.ppm(self._margins.rate)

    def resume(self) -> None:
        """Packets passed untapped: the next sequence number tells nothing about loss."""
        self.last_seq = None

    def missed(self, mark: int) -> None:
        """Packets that came until `mark` were not kept: a gap of ours, which tells nothing of the network."""
        self.last_arrival = max(self.last_arrival, mark)

    def give_back(self) -> None:
        self._transits.give_back(self._row)

    # Sequence numbers and timestamps.

    def _count(self, seq: int) -> bool:
        """Count a packet; false when it is a duplicate."""
        self.packets += 1
        ahead = MAX_SEQ_JUMP + 1 if self.last_seq is None else signed_distance(self.last_seq, seq, bits=16)
        is_old = ahead < -MAX_MISORDER  # or the first of new numbers, which its successor will tell
        if abs(ahead) > MAX_SEQ_JUMP or (is_old and seq == self._anew):
            self.last_seq, self._seen = seq, 1
        elif ahead > 0:
            self.last_seq, self._seen = seq, (self._seen << ahead | 1) & _SEEN
            self.lost += ahead - 1
        elif self._seen >> -ahead & 1:
            self.duplicate += 1
            return False
        else:
            if is_old:
                self._anew = (seq + 1) & 0xFFFF
            self._seen |= 1 << -ahead & _SEEN
            self.reordered += 1
            self.lost = max(self.lost - 1, 0)
        return True

    def _follow(self, packet: Packet) -> None:
        if packet.seq == self.last_seq:
            ahead = signed_distance(self._next, packet.timestamp, bits=32)
            packet.follows = ahead == 0
            self._went_back |= ahead < 0
            self._next = (packet.timestamp + packet.ticks) & _TIMESTAMPS
            self._ticks = packet.ticks

    def _begin_anew(self, clock_hz: int | None, *, is_open: bool) -> list[Packet]:
        """Another RTP clock (RFC 7160): nothing that is known of the timestamps holds any more."""
        placed = self.finish(is_open=is_open)
        self.reanchors += is_open and self.offset is not None
        self._clock_hz, self.offset = clock_hz, None
        self._moves.clear()
        self._forget_transits()
        return placed

    # Holds.

    def _begin(self, why: Why, packet: Packet) -> list[Packet]:
        if self.offset is None:
            packet.lie_at(packet.timestamp, self._margins.rate)
        else:
            self._unwrap(packet, self.offset)
        self.hold = Hold(why, packet.arrival, packet.earliest, [])
        self._hold(self.hold, packet)
        return []

    def _keep(self, packet: Packet, *, is_open: bool) -> list[Packet]:
        """Hold a packet with those already held, on their timeline."""
        assert self.hold is not None
        held = self.hold.packets
        packet.lie_at(unwrap(held[-1].stamp, packet.timestamp, bits=32), self._margins.rate)
        self._hold(self.hold, packet)
        return self.finish(is_open=is_open) if len(held) >= MAX_HELD else []

    def _hold(self, hold: Hold, packet: Packet) -> None:
        hold.packets.append(packet)
        hold.measure(packet, hold.since + self._margins.hold // 2)

    def _release(self, hold: Hold, *, is_open: bool) -> list[Packet]:
        """The held packets tell the offset; then all are placed by it."""
        self.hold = None
        audio = [p for p in hold.packets if not p.digit]
        least = min(p.transit for p in audio)
        if hold.why is not Why.GAP or self._has_moved(
            least, min(p.earliest - p.start - p.samples for p in audio)
        ):
            self._move(least, min(p.start for p in audio), is_open=is_open)
            if self._went_back:
                self._forget_transits()
        if hold.why is Why.ANCHOR:
            self._drift.begin(hold.since // self._margins.rate, self._heard)
            self.due = self._drift.ends * self._margins.rate
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
        self._unwrap(packet, offset)
        end = packet.start + packet.samples + self._offset_at(packet.start, offset)
        if not packet.earliest - self._margins.late <= end <= packet.arrival + self._margins.ahead:
            if self.hold is None:
                return self._begin(Why.UNFIT, packet)
            return self._keep(packet, is_open=is_open)
        if self.hold is not None:
            self._drop(self.hold)
        if self._is_newest(packet.start):
            if packet.arrival >= self.due:
                offset = self._mind_drift(packet, offset, is_open=is_open)
            self._follow_network(packet, offset, is_open=is_open)
        self._went_back = False
        self._place(packet)
        return [packet]

    def _follow_network(self, packet: Packet, offset: int, *, is_open: bool) -> None:
        """The offset moves at once when a packet comes too early for it, and late when all come too late."""
        end = packet.start + packet.samples + offset
        if end > packet.arrival + self._margins.lower:
            self._move(packet.transit, packet.start, is_open=is_open)
        elif end < packet.earliest - self._margins.raised:
            least = self._transits.least(self._row, self._slice(packet.arrival))
            least = packet.transit if least is None else min(least, packet.transit)
            if least > offset + self._margins.raised:
                self._move(least, packet.start, is_open=is_open)

    def _mind_drift(self, packet: Packet, offset: int, *, is_open: bool) -> int:
        """Look at the clocks, slip if it is time; the offset from this packet on. Where nothing is kept
        the offset follows at once."""
        second = packet.arrival // self._margins.rate
        if second >= self._drift.ends:
            least = self._transits.least(self._row, second * SLICES_PER_S - 1)
            self._drift.end_window(second, self._heard, least)
        behind = self._drift.target - offset
        if abs(behind) > self._margins.slip:
            if not is_open:
                offset = self._drift.target
            elif packet.arrival >= self._slips_at:
                self._moves = [*self._moves, (packet.start, offset)][-MAX_MOVES:]
                offset += 1 if behind > 0 else -1
                packet.repeat = behind > 0 and packet.follows
                self.slips += 1
                self._slips_at = packet.arrival + self._margins.slip_every
        self.offset = offset
        self.due = self._drift.ends * self._margins.rate
        if abs(self._drift.target - offset) > self._margins.slip:
            self.due = min(self.due, self._slips_at)
        return offset

    def _place(self, packet: Packet) -> bool:
        """Give a packet its position; nothing lies further ahead than 200 ms, whatever it claims."""
        assert self.offset is not None
        packet.position = packet.start + self._offset_at(packet.start, self.offset)
        if packet.digit:
            return True
        if packet.end > packet.arrival + self._margins.ahead:
            self.late += 1
            return False
        self._heard += 1
        self._transits.note(self._row, self._slice(packet.arrival), packet.transit)
        return True

    def _span(self, packet: Packet) -> list[Packet]:
        """A withheld digit's span. Without an offset, or on another clock, it ends where it arrived."""
        if packet.clock_hz == self._clock_hz:
            if self.hold is not None and self.hold.why is not Why.UNFIT:
                return self._keep(packet, is_open=False)
            if self.offset is not None:
                self._unwrap(packet, self.offset)
                self._place(packet)
                return [packet]
        packet.lie_at(packet.timestamp, self._margins.rate)
        packet.position = packet.arrival - packet.samples
        return [packet]

    def _move(self, offset: int, start: int, *, is_open: bool) -> None:
        """From timestamp `start` on another offset holds."""
        old, self.offset = self.offset, offset
        self._drift.target = offset
        if old is None or old == offset:
            return
        self._moves = [*self._moves, (start, old)][-MAX_MOVES:]
        self.reanchors += is_open
        if abs(offset - old) >= self._margins.keep_transits:
            self._forget_transits()

    def _forget_transits(self) -> None:
        self._transits.forget(self._row)
        self._drift.forget()

    def _unwrap(self, packet: Packet, offset: int) -> None:
        """Take the timestamp nearest to the one that is expected at this arrival: no gap is too long."""
        expected, rate = packet.arrival - offset, self._margins.rate
        if packet.clock_hz is not None:
            expected = expected * packet.clock_hz // rate
        packet.lie_at(unwrap(expected - packet.ticks, packet.timestamp, bits=32), rate)

    def _slice(self, position: int) -> int:
        return position * SLICES_PER_S // self._margins.rate

    def _offset_at(self, start: int, offset: int) -> int:
        for since, old in reversed(self._moves):
            if start >= since:
                break
            offset = old
        return offset

    def _is_newest(self, start: int) -> bool:
        return not self._moves or start >= self._moves[-1][0]
