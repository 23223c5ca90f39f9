"""Drives a recorder through the oracle's calls, as a plane, a journal and a spool would."""

import random
from collections.abc import Iterable

import numpy as np

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Finished, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled
from tests.support.oracle import POLICY, READ_NS, Call, Result, Stamps, Turn

CODECS = {0: Codec("PCMU", 8000), 8: Codec("PCMA", 8000), 13: Codec("CN", 8000)}
USER = Actor("api", "alice")


class Desk:
    """One loop: a ring, a recorder, and the files that come of it. A generation is a call's number + 1.

    With `leaky` the tap copies payload whatever the recorder says: the gate alone stands between. The
    share `failing` of openings does not become durable."""

    def __init__(
        self,
        calls: list[Call],
        *,
        fast: bool = True,
        compiled: bool = True,
        leaky: bool = False,
        failing: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.calls = calls
        self.ring = PacketRing(1024)
        self.recorder = Recorder(fast=fast, compiled=compiled)
        self.files = {call.number: bytearray() for call in calls}
        self.stamps = Stamps()
        self.finished: dict[int, Finished] = {}
        self._taps = dict.fromkeys(self.files, Tap.OFF)
        self._leaky = leaky
        self._failing = failing
        self._unsettled: list[tuple[Call, int, int]] = []  # (call, number, place)
        self._rng = random.Random(seed)
        for call in calls:
            self._arm(call)

    def run(self, turns: Iterable[Turn]) -> dict[int, Result]:
        for turn in turns:
            self.turn(turn)
        return {call.number: self.result(call) for call in self.calls}

    def turn(self, turn: Turn) -> None:
        over = [c for c in self.calls if turn.now_ns >= c.ended_ns and c.number not in self.finished]
        for call in over:
            self.recorder.end(call.number + 1, call.ended_ns, Actor("call_end"))
        if turn.toggles_first:
            self._toggle(turn)
        self._pass(turn)
        if not turn.toggles_first:
            self._toggle(turn)
        if turn.drain:
            self._drain(turn.now_ns)
        for call in over:
            self._finish(call)

    def result(self, call: Call) -> Result:
        finished = self.finished[call.number]
        frames = np.frombuffer(bytes(self.files[call.number]), dtype="<i2").reshape(-1, 2)
        intervals = [(i.start_sample, i.end_sample) for i in finished.intervals]
        reanchors = {("AB".index(s.leg), s.ssrc): s.reanchors for s in finished.streams}
        slips = {("AB".index(s.leg), s.ssrc): s.slips for s in finished.streams}
        return Result(frames, intervals, reanchors, slips)

    def _arm(self, call: Call) -> None:
        policy = RecordingPolicy(Policy.AUTOMATIC if call.automatic else Policy.ON_DEMAND)
        opened = self.recorder.arm(Arm(call.number + 1, call.answered_ns, policy))
        if opened:
            self._unsettled.append((call, opened.number, POLICY))
        for leg in LegId:
            self.recorder.describe(call.number + 1, leg, CODECS)
        self._set_taps(call.answered_ns)

    def _set_taps(self, now_ns: int) -> None:
        for change in self.recorder.tap_changes(now_ns):
            self._taps[change.generation - 1] = change.tap

    def _pass(self, turn: Turn) -> None:
        ring = self.ring
        ring.begin_pass(turn.now_ns)
        for packet in turn.packets:
            head = (packet.call + 1, packet.leg, packet.payload_type, 0, packet.ssrc, packet.seq)
            self.stamps.note(packet, turn.now_ns)
            if self._leaky or self._taps[packet.call] is Tap.PAYLOAD:
                ring.put(*head, packet.timestamp, turn.now_ns + READ_NS, packet.payload)
            else:
                ring.put_header(*head, packet.timestamp, turn.now_ns + READ_NS, len(packet.payload))
            if ring.pressed:
                self._store(self.recorder.drain(ring))
        ring.end_pass(emptied=True)

    def _toggle(self, turn: Turn) -> None:
        for call, action in turn.toggles:
            outcome = self.recorder.toggle(call.number + 1, Action(action), USER, turn.toggled_ns)
            assert isinstance(outcome, Toggled)
            call.applied.append((turn.toggled_ns, action))
            if outcome.tentative:
                self._unsettled.append((call, outcome.number, len(call.applied) - 1))
        self._set_taps(turn.toggled_ns)

    def _drain(self, now_ns: int) -> None:
        self._store(self.recorder.drain(self.ring))
        self._set_taps(now_ns)
        for opening in list(self._unsettled):
            if self._rng.random() < 0.3:
                self._settle(*opening)

    def _settle(self, call: Call, number: int, place: int) -> None:
        """The journal tells whether the opening's line is durable."""
        self._unsettled.remove((call, number, place))
        if self._rng.random() >= self._failing:
            self.recorder.confirm(call.number + 1, number)
        else:
            self.recorder.annul(call.number + 1, number)
            call.annulled.add(place)

    def _finish(self, call: Call) -> None:
        self._store(self.recorder.drain(self.ring))
        for opening in [o for o in self._unsettled if o[0] is call]:
            self._settle(*opening)
        finished = self.recorder.finish(call.number + 1, call.ended_ns, Actor("call_end"))
        assert finished is not None
        self._store(finished.writes)
        self.finished[call.number] = finished

    def _store(self, writes: list[Write]) -> None:
        for generation, start, end, frames in writes:
            file = self.files[generation - 1]
            assert len(file) == start * 4, "writes follow one another"
            file += bytes((end - start) * 4) if frames is None else frames
            assert len(file) == end * 4, "a write is as long as it says"
