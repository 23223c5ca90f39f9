"""Packets as the rule of media time sees them, and the times of that rule."""

from dataclasses import dataclass

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
RAISED_MS = 100
SLIP_MS = 5
SLIP_EVERY_MS = 100
KEEP_TRANSITS_MS = 1_000  # a larger move is another timeline: its transits can't be compared
MAX_MISORDER = 128  # packets; one further behind than that comes of a sender that began its numbers anew


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
    raised: int
    slip: int
    slip_every: int
    keep_transits: int

    @classmethod
    def of(cls, rate: int) -> "Margins":
        times = (
            HOLD_MS, AGREE_MS, GIVE_UP_MS, LATE_MS, AHEAD_MS, LOWER_MS,
            GAP_MS, GAP_ABOVE_MS, GAP_BELOW_MS, CLOSED_MS, RAISED_MS, SLIP_MS, SLIP_EVERY_MS,
            KEEP_TRANSITS_MS,
        )  # fmt: skip
        return cls(rate, *(ms * rate // 1000 for ms in times))


class Packet:
    """One record of the ring. `ticks` is what it lasts on the RTP clock, 0 when it holds no audio that we
    place. A `digit` is the span of a withheld one. `stamp` is the unwrapped timestamp; `start` the same in
    samples of the file, `samples` its length there; `position` is the outcome. It `follows`
    when it begins where the newest before it ended; with `repeat` its first sample is to be written once
    more, before it."""

    __slots__ = (
        "arrival", "clock_hz", "digit", "earliest", "follows", "law", "payload", "payload_type", "position",
        "repeat", "samples", "seq", "stamp", "start", "ticks", "timestamp",
    )  # fmt: skip

    def __init__(
        self,
        earliest: int,
        arrival: int,
        seq: int,
        timestamp: int,
        ticks: int,
        payload: bytes | None = None,
        law: int = 0,
        *,
        payload_type: int = 0,
        digit: bool = False,
        clock_hz: int | None = None,
    ) -> None:
        """`clock_hz` is the RTP clock; None: that of the file."""
        self.earliest = earliest
        self.arrival = arrival
        self.seq = seq
        self.timestamp = timestamp
        self.ticks = ticks
        self.payload = payload
        self.law = law
        self.payload_type = payload_type
        self.digit = digit
        self.clock_hz = clock_hz
        self.stamp = self.start = timestamp
        self.samples = ticks
        self.position = 0
        self.follows = self.repeat = False

    def lie_at(self, stamp: int, rate: int) -> None:
        """Take an unwrapped timestamp. Neighbours touch, also where the clocks are no multiples."""
        self.stamp = stamp
        if self.clock_hz is None:
            self.start = stamp
            return
        self.start = stamp * rate // self.clock_hz
        self.samples = (stamp + self.ticks) * rate // self.clock_hz - self.start

    @property
    def transit(self) -> int:
        return self.arrival - self.start - self.samples

    @property
    def end(self) -> int:
        return self.position + self.samples
