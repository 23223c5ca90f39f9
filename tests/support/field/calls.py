"""Calls of the field and their recordings: a loop that reads, toggles and drains, in virtual time."""

import random
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled
from tests.support.field.conditions import Conditions
from tests.support.field.senders import COMFORT_NOISE, DIGITS, Leg, leg
from tests.support.oracle import NS_PER_MS, NS_PER_SAMPLE, RATE

CODECS = {0: Codec("PCMU", 8000), 8: Codec("PCMA", 8000), COMFORT_NOISE: Codec("CN", 8000)}
READ_EVERY_NS, IDLE_NS, DRAIN_NS = NS_PER_MS, 20 * NS_PER_MS, 40 * NS_PER_MS
USER, END = Actor("api", "alice"), Actor("call_end")
BEGIN_NS = 10_000_000_000


@dataclass
class Call:
    """A call and what was recorded of it. Positions are samples on its call clock."""

    number: int
    answered_ns: int
    duration: int
    legs: tuple[Leg, Leg]
    toggles: list[int]  # alternately opening and closing
    intervals: list[tuple[int, int]] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    finished: Finished | None = None

    @property
    def ended_ns(self) -> int:
        return self.answered_ns + self.duration * NS_PER_SAMPLE

    def position(self, now_ns: int) -> int:
        return (now_ns - self.answered_ns) // NS_PER_SAMPLE

    def frames(self) -> NDArray[np.int16]:
        """The file, (n, 2)."""
        assert self.finished is not None
        end, blocks = 0, []
        for write in [*self.writes, *self.finished.writes]:
            assert write.start == end, "writes follow one another"
            blocks.append(bytes((write.end - write.start) * 4) if write.frames is None else write.frames)
            end = write.end
        return np.frombuffer(b"".join(blocks), "<i2").reshape(-1, 2)


def any_call(
    rng: random.Random, number: int, conditions: Conditions, seconds: int, toggles: int | None = None
) -> Call:
    """A call with toggles at any instant, about eleven intervals in two minutes."""
    answered_ns = BEGIN_NS + rng.randrange(1_000_000_000)
    duration = seconds * RATE - rng.randrange(RATE)
    times = seconds * 22 // 120 if toggles is None else toggles
    at = sorted(rng.randrange(duration) for _ in range(times))
    theirs = replace(conditions, silent=conditions.silent or conditions.one_way)
    legs = (leg(rng, 0, duration, conditions), leg(rng, 1, duration, theirs))
    return Call(number, answered_ns, duration, legs, at)


class Event(NamedTuple):
    at_ns: int
    rank: int  # toggles, then reads
    call: int
    leg: int  # -1: a toggle
    packet: int


def record(
    calls: list[Call],
    rng: random.Random,
    conditions: Conditions,
    *,
    fast: bool = True,
    compiled: bool = True,
) -> list[Call]:
    """Let a loop record these calls, all at once."""
    loop = Loop(calls, fast=fast, compiled=compiled)
    longest = max(call.duration for call in calls)
    stalls = [
        (begin, begin + rng.randrange(1_000) * NS_PER_MS)
        for begin in (BEGIN_NS + rng.randrange(longest) * NS_PER_SAMPLE for _ in range(conditions.our_stalls))
    ]
    events = sorted(_reads(calls, stalls) + _toggles(calls, stalls))
    for event in events:
        loop.run_to(
            event.at_ns, stalled=any(begin < event.at_ns <= end + READ_EVERY_NS for begin, end in stalls)
        )
        if event.leg < 0:
            loop.toggle(calls[event.call])
        else:
            loop.read(calls[event.call], event.leg, event.packet)
    loop.run_to(max(call.ended_ns for call in calls) + 4 * DRAIN_NS)
    return calls


def _late(at_ns: int, stalls: list[tuple[int, int]]) -> int:
    """When the loop comes to what is there at `at_ns`."""
    for begin, end in sorted(stalls):
        if begin <= at_ns < end:
            at_ns = end
    return -(-at_ns // READ_EVERY_NS) * READ_EVERY_NS


def _reads(calls: list[Call], stalls: list[tuple[int, int]]) -> list[Event]:
    found = []
    for call in calls:
        for number, spoken in enumerate(call.legs):
            reaches = (spoken.packets["reaches"] * NS_PER_SAMPLE).astype(np.int64) + call.answered_ns
            for packet, at_ns in enumerate(reaches.tolist()):
                if call.answered_ns <= at_ns < call.ended_ns:
                    found.append(Event(_late(at_ns, stalls), 1, call.number, number, packet))
    return found


def _toggles(calls: list[Call], stalls: list[tuple[int, int]]) -> list[Event]:
    return [
        Event(_late(call.answered_ns + at * NS_PER_SAMPLE, stalls) + 777, 0, call.number, -1, at)
        for call in calls
        for at in call.toggles
    ]


class Loop:
    """A plane, a recorder and a journal that is always quick."""

    def __init__(self, calls: list[Call], *, fast: bool = True, compiled: bool = True) -> None:
        self.recorder = Recorder(fast=fast, compiled=compiled)
        self._ring = PacketRing(4_096, now_ns=BEGIN_NS)
        self._calls = {call.number + 1: call for call in calls}
        self._waiting = sorted(calls, key=lambda call: call.answered_ns)
        self._taps: dict[int, Tap] = {}
        self._now_ns = self._drained_ns = BEGIN_NS

    def run_to(self, now_ns: int, *, stalled: bool = False) -> None:
        """Idle passes, drains and answers up to a moment; while it is stalled the loop does nothing."""
        if now_ns == self._now_ns:
            return
        self._end_pass()
        while self._now_ns + IDLE_NS < now_ns and not stalled:
            self._now_ns += IDLE_NS
            self._ring.begin_pass(self._now_ns)
            self._end_pass()
        self._now_ns = now_ns
        self._ring.begin_pass(now_ns)
        while self._waiting and self._waiting[0].answered_ns <= now_ns:
            self._answer(self._waiting.pop(0))

    def read(self, call: Call, number: int, at: int) -> None:
        self._arrived(call, number, at, self._now_ns)

    def toggle(self, call: Call) -> None:
        if self._now_ns >= call.ended_ns:
            return
        is_open = bool(call.intervals) and call.intervals[-1][1] < 0
        action = Action.STOP if is_open else Action.START
        toggled = self.recorder.toggle(call.number + 1, action, USER, self._now_ns)
        assert isinstance(toggled, Toggled)
        if is_open:
            call.intervals[-1] = (call.intervals[-1][0], toggled.effective_sample)
        else:
            call.intervals.append((toggled.effective_sample, -1))
            self.recorder.confirm(call.number + 1, toggled.number)
        self._set_taps()

    def _arrived(self, call: Call, number: int, at: int, now_ns: int) -> None:
        packet = call.legs[number].packets[at]
        tap = self._taps.get(call.number + 1, Tap.OFF)
        if tap is Tap.OFF:
            return
        payload_type, samples = int(packet["payload_type"]), int(packet["samples"])
        head = (
            call.number + 1, number, payload_type, 0, int(packet["ssrc"]), int(packet["seq"]),
            int(packet["timestamp"]), now_ns,
        )  # fmt: skip
        if tap is Tap.PAYLOAD and samples:
            codes = call.legs[number].codes(payload_type, int(packet["first"]), samples)
            self._ring.put(*head, codes)
        else:
            self._ring.put_header(*head, samples or 4)

    def _end_pass(self) -> None:
        """Every socket was read until it was empty."""
        self._ring.end_pass(emptied=True)
        if self._now_ns - self._drained_ns >= DRAIN_NS or self._ring.pressed:
            self._drain()
            for call in [c for c in self._calls.values() if c.ended_ns <= self._now_ns]:
                self._finish(call)

    def _answer(self, call: Call) -> None:
        self.recorder.arm(Arm(call.number + 1, call.answered_ns, RecordingPolicy(Policy.ON_DEMAND)))
        for number in LegId:
            self.recorder.describe(call.number + 1, number, CODECS, frozenset({DIGITS}))
        self._set_taps()

    def _finish(self, call: Call) -> None:
        self.recorder.end(call.number + 1, call.ended_ns, END)
        finished = self.recorder.finish(call.number + 1, call.ended_ns, END)
        call.finished = finished
        if call.intervals and call.intervals[-1][1] < 0:
            call.intervals[-1] = (call.intervals[-1][0], call.duration)
        call.intervals = [(start, min(end, call.duration)) for start, end in call.intervals if start < end]
        del self._calls[call.number + 1], self._taps[call.number + 1]

    def _drain(self) -> None:
        self._drained_ns = self._now_ns
        for write in self.recorder.drain(self._ring):
            if write.generation in self._calls:
                self._calls[write.generation].writes.append(write)
        self._set_taps()

    def _set_taps(self) -> None:
        for change in self.recorder.tap_changes(self._now_ns):
            self._taps[change.generation] = change.tap
