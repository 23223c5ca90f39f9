"""Any order of whatever may happen to a recording's packets and commands (hypothesis).

A leg speaks a signal that tells its time; the machine sends, loses, repeats, reorders, delays, jumps and
toggles as it likes, and at the end the file is read: as long as the call, zeros outside what the replies
named, and inside only samples that were sent, none of which came before its interval or too late after it.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.gate import Gate, Opening
from mediaproxy.recording.live import LiveRecording
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.packets import Packet
from mediaproxy.recording.recorder import Arm, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, State, Toggled
from mediaproxy.recording.streams import Stream
from mediaproxy.recording.tracks import Track
from tests.support.counts import count
from tests.support.field.senders import codes
from tests.support.oracle import LATE, MS, NS_PER_SAMPLE, read_times

PTIME = 20 * MS
CODECS = {0: Codec("PCMU", 8_000), 8: Codec("PCMA", 8_000), 13: Codec("CN", 8_000)}
ALICE, END = Actor("api", "alice"), Actor("call_end")
BEGIN_NS = 5_000_000_000
OPENS = {Action.START, Action.RESUME}
ACTIONS = [Action.START, Action.STOP, Action.PAUSE, Action.RESUME]
STAMPS = st.integers(0, (1 << 32) - 1)


class Recording(RuleBasedStateMachine):
    fast, compiled, leaky = True, True, False

    @initialize(
        stamp=st.one_of(st.integers(0, (1 << 32) - 1), st.integers((1 << 32) - 40_000, (1 << 32) - 1)),
        seq=st.one_of(st.integers(0, 0xFFFF), st.integers(0xFFFF - 200, 0xFFFF)),
        ppm=st.integers(-500, 500),
        early=st.booleans(),
    )
    def answer(self, stamp: int, seq: int, ppm: int, early: bool) -> None:
        self.ring, self.recorder = (
            PacketRing(1_024, now_ns=BEGIN_NS),
            Recorder(fast=self.fast, compiled=self.compiled),
        )
        self.recorder.arm(Arm(1, BEGIN_NS, RecordingPolicy(Policy.ON_DEMAND)))
        for leg in LegId:
            self.recorder.describe(1, leg, CODECS)
        self.stamp, self.seq, self.ppm, self.ssrc, self.law = stamp, seq, ppm, 7, 0
        self.now, self.index, self.delay = 0, 0, 50 * MS  # positions
        self.tap = Tap.HEADERS
        self.came: dict[int, list[int]] = {}  # index of a packet's first sample -> when it was read
        self.writes: list[Write] = []
        self.intervals: list[tuple[int, int]] = []
        self.state = State.INACTIVE
        self.waiting: list[tuple[int, int, int, int, int]] = []
        self.set_taps()
        if early:
            self.speak(40, 0)

    # What the sender and the network do.

    @rule(packets=st.integers(1, 60), hidden=st.sampled_from([0, 0, 0, 30 * MS, 150 * MS]))
    def speak(self, packets: int, hidden: int) -> None:
        """Packets in time, each up to `hidden` late by turns."""
        for number in range(packets):
            self.index += PTIME
            at = self.heard(self.index) + (hidden * (number % 3) // 2)
            self.run_to(at)
            self.receive(self.index - PTIME, self.seq)
            self.seq += 1

    @rule(packets=st.integers(1, 20))
    def lose(self, packets: int) -> None:
        self.index += packets * PTIME
        self.seq += packets

    @rule(back=st.integers(1, 4))
    def repeat(self, back: int) -> None:
        first = self.index - back * PTIME
        if first >= 0:
            self.receive(first, self.seq - back)

    @rule(packets=st.integers(2, 6))
    def reorder(self, packets: int) -> None:
        self.index += packets * PTIME
        self.run_to(self.heard(self.index))
        for number in reversed(range(packets)):
            self.receive(self.index - (packets - number) * PTIME, self.seq + number)
        self.seq += packets

    @rule(tenths=st.integers(1, 30), noise=st.booleans())
    def fall_silent(self, tenths: int, noise: bool) -> None:
        self.index += tenths * 5 * PTIME
        if noise:
            self.ring.put_header(
                1, 0, 13, 0, self.ssrc, self.seq & 0xFFFF, self.on_wire(self.index), self.ns, 1
            )
            self.seq += 1
        self.run_to(self.heard(self.index))

    @rule(stamp=STAMPS)
    def jump(self, stamp: int) -> None:
        self.stamp = stamp

    @rule(ssrc=st.integers(1, 9))
    def change_ssrc(self, ssrc: int) -> None:
        self.ssrc = ssrc

    @rule()
    def switch_codec(self) -> None:
        self.law = 8 - self.law

    @rule(by=st.integers(-40 * MS, 250 * MS))
    def change_route(self, by: int) -> None:
        self.delay = max(self.delay + by, 1)

    @rule(
        payload=st.binary(max_size=200), stamp=st.integers(0, (1 << 32) - 1), kind=st.sampled_from([13, 96])
    )
    def babble(self, payload: bytes, stamp: int, kind: int) -> None:
        """What no one described, or what is no audio, never shows."""
        self.ring.put(1, 0, kind, 1, self.ssrc, self.seq & 0xFFFF, stamp, self.ns, payload)
        self.seq += 1

    # What we do.

    @rule(
        action=st.sampled_from([Action.START, Action.STOP, Action.PAUSE, Action.RESUME]),
        after=st.integers(0, 400),
    )
    def toggle(self, action: Action, after: int) -> None:
        self.run_to(self.now + after)
        was = self.state
        toggled = self.recorder.toggle(1, action, ALICE, self.ns)
        assert isinstance(toggled, Toggled)
        self.state = toggled.state
        assert toggled.changed == (was is not toggled.state)
        if toggled.changed and action in OPENS:
            assert toggled.effective_sample >= self.now
            self.recorder.confirm(1, toggled.number)
            self.intervals.append((toggled.effective_sample, -1))
        elif toggled.changed and was is State.RECORDING:
            self.intervals[-1] = (self.intervals[-1][0], toggled.effective_sample)
        self.set_taps()

    @rule(tenths=st.integers(1, 15))
    def stall(self, tenths: int) -> None:
        """The loop does nothing; what came meanwhile is read at once."""
        begin = self.now
        self.now += tenths * 800
        self.ring.begin_pass(self.ns)
        while self.heard(self.index + PTIME) <= self.now:
            self.index += PTIME
            if self.heard(self.index) > begin:
                self.put(self.index - PTIME, self.seq)
            self.seq += 1
        self.ring.end_pass(emptied=True)
        self.drain()

    @invariant()
    def nothing_is_written_twice_or_before_its_time(self) -> None:
        end = 0
        for write in getattr(self, "writes", []):
            assert write.start == end
            end = write.end
            assert end <= self.now

    def teardown(self) -> None:
        if not hasattr(self, "recorder"):
            return
        self.drain()
        self.now += 100
        finished = self.recorder.finish(1, self.ns, END)
        assert finished is not None
        self.writes += finished.writes
        if self.state is State.RECORDING:
            self.intervals[-1] = (self.intervals[-1][0], self.now)
        blocks = [w.frames or bytes((w.end - w.start) * 4) for w in self.writes]
        frames = np.frombuffer(b"".join(blocks), "<i2").reshape(-1, 2)
        wanted = [(start, end) for start, end in self.intervals if start < end]
        assert [(i.start_sample, i.end_sample) for i in finished.intervals] == wanted
        assert "recorder_failed" not in finished.reasons
        assert len(frames) == finished.duration_samples == self.now
        self.judge(frames, wanted)

    # Helpers.

    def judge(self, frames: NDArray[np.int16], wanted: list[tuple[int, int]]) -> None:
        outside = np.ones(len(frames), dtype=bool)
        for start, end in wanted:
            outside[start:end] = False
        assert not frames[outside].any(), "zero outside"
        assert not frames[:, 1].any(), "only this leg"
        times = read_times(0, np.ascontiguousarray(frames[:, 0]))
        for start, end in wanted:
            for first in np.unique(times[start:end][times[start:end] >= 0] // PTIME * PTIME).tolist():
                reads = self.came.get(first, [])
                assert any(start <= at <= end + LATE for at in reads), "what came before, or too late after"

    @property
    def ns(self) -> int:
        return BEGIN_NS + self.now * NS_PER_SAMPLE

    def heard(self, index: int) -> int:
        return int(index * (1 + self.ppm / 1e6)) + self.delay

    def on_wire(self, index: int) -> int:
        return (self.stamp + index) & 0xFFFFFFFF

    def run_to(self, now: int) -> None:
        while self.now + PTIME < now:
            self.now += PTIME
            self.idle()
        self.now = max(self.now, now)

    def idle(self) -> None:
        self.ring.begin_pass(self.ns)
        self.ring.end_pass(emptied=True)
        self.drain()

    def receive(self, first: int, seq: int) -> None:
        self.ring.begin_pass(self.ns)
        self.put(first, seq)
        self.ring.end_pass(emptied=True)

    def put(self, first: int, seq: int) -> None:
        head = (1, 0, self.law, 0, self.ssrc, seq & 0xFFFF, self.on_wire(first), self.ns)
        if self.leaky or self.tap is Tap.PAYLOAD:
            self.ring.put(*head, codes(0, self.law, first, PTIME))
        else:
            self.ring.put_header(*head, PTIME)
        self.came.setdefault(first, []).append(self.now)
        if self.ring.pressed:
            self.drain()

    def drain(self) -> None:
        self.writes += self.recorder.drain(self.ring)
        self.set_taps()

    def set_taps(self) -> None:
        for change in self.recorder.tap_changes(self.ns):
            self.tap = change.tap


class ByTheRule(Recording):
    """Every packet by the rule, and a tap that copies everything: the gate alone stands between."""

    fast, compiled, leaky = False, False, True


class ByNumpy(Recording):
    """With the lanes that are not compiled."""

    fast, compiled, leaky = True, False, False


SETTINGS = settings(
    max_examples=count(120, full=3_000),
    stateful_step_count=count(30, full=50),
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [Recording, ByNumpy, ByTheRule])
def test_whatever_happens_the_file_is_true(machine: type[Recording]) -> None:
    run_state_machine_as_test(machine, settings=SETTINGS)


# Bugs that it must find.


def shifted(edge: str) -> object:
    admitting = Gate.admitting

    def admit(self: Gate, arrival: int, late: int) -> list[Opening]:
        return [
            Opening(
                o.number, o.start - (edge == "start"), o.started_by, o.tentative,
                None if o.end is None else o.end + (edge == "end"),
            )
            for o in admitting(self, arrival, late)
        ]  # fmt: skip

    return admit


def whole(self: LiveRecording, track: Track, _: Stream, packet: Packet) -> None:
    if packet.payload and not packet.digit and self.states.gate.is_open:
        self._decode(track, packet, packet.position, packet.end)


def any_opening(self: Gate, _arrival: int, _late: int) -> list[Opening]:
    return self.openings


def any_earlier(self: Gate, arrival: int, _late: int) -> list[Opening]:
    return [opening for opening in self.openings if opening.start <= arrival]


BUGS = {
    "a start off by one": (Gate, "admitting", shifted("start")),
    "an end off by one": (Gate, "admitting", shifted("end")),
    "whole packets while the gate is open": (LiveRecording, "_write", whole),
    "arrivals that nobody looks at": (Gate, "admitting", any_opening),
    "a late window without end": (Gate, "admitting", any_earlier),
}


@pytest.mark.slow
@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    monkeypatch.setattr(*BUGS[bug])
    tries = settings(SETTINGS, max_examples=400, phases=[Phase.generate])
    with pytest.raises(AssertionError):
        run_state_machine_as_test(ByTheRule, settings=tries)
