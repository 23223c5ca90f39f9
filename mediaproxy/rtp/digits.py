"""Telephone-events on their way through one leg, where some digits command us.

While a code may be forming its digits' packets are held, that is: not relayed. The digits of a whole
code stay away; refused ones are made anew: same event, volume and duration, three end packets
(RFC 4733 2.5.1.4), spaced as they came from a telephone. A digit is known by SSRC and timestamp, so
lost start packets, lost markers, repeated and reordered end packets change nothing.

A refused digit begins at the moment of its sending: its timestamp is the old one moved on by the time
it waited. Digits that come while others are still being made anew queue behind them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

from mediaproxy.clock import NS_PER_MS, NS_PER_S
from mediaproxy.rtp.codes import CodeMatcher, Cut, Pending
from mediaproxy.rtp.events import DIGITS, MAX_DURATION, TelephoneEvent, build_event
from mediaproxy.serial import signed_distance

PACKET_NS: Final = 20 * NS_PER_MS
END_PACKETS: Final = 3
_BETWEEN_DIGITS_NS: Final = 60 * NS_PER_MS
_GIVEN_UP_NS: Final = 200 * NS_PER_MS  # all end packets were lost
_LATE_UPDATE_NS: Final = 100 * NS_PER_MS
_LATE_END_NS: Final = 400 * NS_PER_MS
_MAX_WAITING: Final = 64
_REMEMBERED: Final = 32  # digits, for their late packets


class Fate(Enum):
    """What becomes of a digit's packets."""

    RELAYED = "relayed"
    HELD = "held"
    DROPPED = "dropped"  # a code's
    REFUSED = "refused"  # made anew


@dataclass(slots=True)
class _Digit:
    ssrc: int
    timestamp: int
    segment: int  # the timestamp last used for it
    payload_type: int
    clock_hz: int
    event: TelephoneEvent  # of the packet with the longest duration
    began_ns: int
    last_ns: int
    fate: Fate = Fate.HELD
    ended: bool = False

    def over(self, now_ns: int) -> bool:
        return self.ended or now_ns >= self.last_ns + _GIVEN_UP_NS

    def is_pressed_anew(self, event: TelephoneEvent, now_ns: int) -> bool:
        """Whether a packet with this digit's own timestamp is of another press. SIPp plays the same few
        packets for each press of a key; a late packet of this one comes sooner."""
        late_ns = _LATE_END_NS if event.end else _LATE_UPDATE_NS
        return self.over(now_ns) and now_ns >= self.last_ns + late_ns

    @property
    def past_ns(self) -> int:
        """From then on no packet is of this press, unless one comes before."""
        return self.last_ns + _LATE_END_NS  # it is over by then

    def hear(self, event: TelephoneEvent, now_ns: int) -> None:
        self.last_ns = now_ns
        self.ended = self.ended or event.end
        if event.duration > self.event.duration:
            self.event = event


class Seen(NamedTuple):
    """The first packet of a digit came."""

    arrived_ns: int


class Dialled(NamedTuple):
    """A whole code; `arrived_ns` is when its last digit's first packet came.

    With `certain` false it may still become a longer one: the next `Dialled` is this one for certain, or
    another one, and this one was none.
    """

    action: str
    arrived_ns: int
    certain: bool = True


@dataclass(frozen=True, slots=True)
class Regenerated:
    """A packet of ours: the event of a refused digit. Its sequence number is the sender's matter."""

    ssrc: int
    payload_type: int
    marker: bool
    timestamp: int
    payload: bytes = field(repr=False)


Output = Seen | Dialled | Regenerated


class DigitFilter:
    """One leg's telephone-events. `receive` says whether a packet is to be relayed."""

    __slots__ = ("_codes", "_held", "_matcher", "_output", "_pending", "_recent", "_voice")

    def __init__(self, codes: Mapping[str, str]) -> None:
        self._codes = dict(codes)
        self._matcher = CodeMatcher(codes)
        self._held: list[_Digit] = []
        self._recent: list[_Digit] = []
        self._voice = _Voice()
        self._pending: Pending | None = None
        self._output: list[Output] = []

    def watch(self, codes: Mapping[str, str], now_ns: int) -> None:
        """Other codes from here on; digits that are held for the old ones are decided by these."""
        if dict(codes) == self._codes:
            return
        self._decide(self._matcher.decide(), now_ns)
        self._codes = dict(codes)
        self._matcher = CodeMatcher(codes)

    def receive(
        self,
        ssrc: int,
        timestamp: int,
        payload_type: int,
        event: TelephoneEvent,
        now_ns: int,
        *,
        clock_hz: int = 8000,
    ) -> bool:
        """A packet with `event` came. True: relay it as it is."""
        if not event.is_digit:
            return True
        digit = self._find(ssrc, timestamp, event, now_ns)
        if digit is None:
            digit = _Digit(
                ssrc, timestamp, timestamp, payload_type, clock_hz, event, now_ns, now_ns, ended=event.end
            )
            self._forget(now_ns)
            self._recent = [*self._recent[1 - _REMEMBERED :], digit]
            self._begin(digit, now_ns)
        else:
            digit.hear(event, now_ns)
        return digit.fate is Fate.RELAYED

    def handle_timer(self, now_ns: int) -> None:
        self._decide(self._matcher.expire(now_ns), now_ns)
        self._output += self._voice.speak(now_ns)
        self._forget(now_ns)

    def next_deadline_ns(self) -> int | None:
        forget_ns = min((digit.past_ns for digit in self._recent), default=None)
        deadlines = (self._matcher.deadline_ns, self._voice.deadline_ns, forget_ns)
        return min((at for at in deadlines if at is not None), default=None)

    def drain(self) -> list[Output]:
        output, self._output = self._output, []
        return output

    def _find(self, ssrc: int, timestamp: int, event: TelephoneEvent, now_ns: int) -> _Digit | None:
        for digit in reversed(self._recent):
            if digit.ssrc == ssrc and digit.event.code == event.code:
                if timestamp in (digit.timestamp, digit.segment):
                    return None if digit.is_pressed_anew(event, now_ns) else digit
                if _continues(digit, timestamp, event, now_ns):
                    digit.segment = timestamp
                    return digit
        return None

    def _forget(self, now_ns: int) -> None:
        """What was dialled is nobody's business any longer than its packets may still come."""
        self._recent = [digit for digit in self._recent if now_ns < digit.past_ns]

    def _begin(self, digit: _Digit, now_ns: int) -> None:
        if self._codes:
            self._output.append(Seen(now_ns))
        self._held.append(digit)
        self._decide(self._matcher.feed(DIGITS[digit.event.code], now_ns), now_ns, fresh=digit)

    def _decide(self, cuts: list[Cut], now_ns: int, *, fresh: _Digit | None = None) -> None:
        for cut in cuts:
            digits, self._held = self._held[: cut.length], self._held[cut.length :]
            for digit in digits:
                if cut.action is None:
                    self._refuse(digit, now_ns, fresh=fresh)
                else:
                    digit.fate = Fate.DROPPED
            if cut.action is not None:
                self._output.append(Dialled(cut.action, cut.at_ns))
        pending = self._matcher.pending
        if pending is not None and pending != self._pending:
            self._output.append(Dialled(*pending, certain=False))
        self._pending = pending

    def _refuse(self, digit: _Digit, now_ns: int, *, fresh: _Digit | None) -> None:
        """A digit of which nothing was withheld yet passes as it is, unless others are before it."""
        if digit is fresh and self._voice.deadline_ns is None:
            digit.fate = Fate.RELAYED
            return
        digit.fate = Fate.REFUSED
        self._voice.queue(digit, now_ns)


class _Voice:
    """Says refused digits again, one after the other, a packet every 20 ms.

    It may begin while the key is still down: it lags behind the original by as long as that was held,
    so it never reaches a duration that is not known yet, unless packets were lost.
    """

    __slots__ = ("_began_ns", "_ends", "_queue", "_step", "deadline_ns")

    def __init__(self) -> None:
        self._queue: list[_Digit] = []
        self._began_ns = 0
        self._step = 0
        self._ends = 0
        self.deadline_ns: int | None = None

    def queue(self, digit: _Digit, now_ns: int) -> None:
        """More digits than anyone can dial are a flood: they are let fall."""
        if len(self._queue) >= _MAX_WAITING:
            return
        self._queue.append(digit)
        if self.deadline_ns is None:
            self._take_up(now_ns)

    def speak(self, now_ns: int) -> list[Regenerated]:
        """What is due by `now_ns`."""
        packets = []
        while self.deadline_ns is not None and self.deadline_ns <= now_ns:
            packets.append(self._next(self.deadline_ns, now_ns))
        return packets

    def _take_up(self, at_ns: int) -> None:
        self._began_ns = at_ns
        self._step = self._ends = 0
        self.deadline_ns = at_ns

    def _next(self, at_ns: int, now_ns: int) -> Regenerated:
        digit, first = self._queue[0], self._step == 0
        self._step += 1
        spoken = self._step * digit.clock_hz * PACKET_NS // NS_PER_S
        end = digit.over(now_ns) and spoken >= digit.event.duration
        packet = self._packet(digit, min(spoken, digit.event.duration), first=first, end=end)
        self.deadline_ns = at_ns + PACKET_NS
        self._ends += end
        if self._ends == END_PACKETS:
            self._finish(at_ns)
        return packet

    def _finish(self, at_ns: int) -> None:
        self._queue.pop(0)
        if self._queue:
            self._take_up(at_ns + _BETWEEN_DIGITS_NS)
        else:
            self.deadline_ns = None

    def _packet(self, digit: _Digit, duration: int, *, first: bool, end: bool) -> Regenerated:
        waited = (self._began_ns - digit.began_ns) * digit.clock_hz // NS_PER_S
        event = TelephoneEvent(digit.event.code, end, digit.event.volume, duration)
        timestamp = digit.timestamp + waited & 0xFFFFFFFF
        return Regenerated(digit.ssrc, digit.payload_type, first, timestamp, build_event(event))


def _continues(digit: _Digit, timestamp: int, event: TelephoneEvent, now_ns: int) -> bool:
    """Whether a packet with a new timestamp tells more of `digit`, whose key is still down.

    A long event goes on in a new segment (RFC 4733 2.5.1.3); some telephones move the timestamp with
    every packet while the duration grows.
    """
    if digit.over(now_ns):
        return False
    ahead = signed_distance(digit.segment, timestamp, bits=32)
    return ahead == MAX_DURATION or (ahead > 0 and event.duration > digit.event.duration)
