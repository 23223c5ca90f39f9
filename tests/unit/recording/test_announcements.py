"""What of an announcement comes into a file: what was heard, where and while it was one."""

import numpy as np
import pytest

from mediaproxy.audio.sound import RATES_HZ, Sound
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import LegId, Tap
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled

MS = 1_000_000
ALICE = Actor("api", "alice")
SOUND = Sound("ramp", {r: np.arange(1, r // 10 + 1, dtype=np.int16) for r in RATES_HZ})  # 100 ms


class Desk:
    """A recorder with one call, and its file as far as it is handed out."""

    def __init__(self, rate: int = 8_000, policy: Policy = Policy.ON_DEMAND) -> None:
        self.rate = rate
        self.recorder = Recorder()
        self.ring = PacketRing(64)
        self.opened = self.recorder.arm(
            Arm(1, 0, RecordingPolicy(policy, consent_required=True), (1, 0), rate)
        )
        self.writes: list[Write] = []

    def pass_until(self, now_ms: int) -> None:
        self.ring.begin_pass(now_ms * MS)
        self.ring.end_pass(emptied=True)
        self.writes += self.recorder.drain(self.ring)

    def toggle(self, action: Action, at_ms: int) -> Toggled:
        toggled = self.recorder.toggle(1, action, ALICE, at_ms * MS)
        assert isinstance(toggled, Toggled)
        return toggled

    def start(self, at_ms: int) -> None:
        self.recorder.confirm(1, self.toggle(Action.START, at_ms).number)

    def speak(self, at_ms: int, first: int = 0, ticks: int = 160, leg: LegId = LegId.A) -> None:
        self.recorder.speak(1, leg, at_ms * MS, SOUND, (first, ticks))

    def finish(self, at_ms: int) -> np.ndarray:
        finished = self.recorder.finish(1, at_ms * MS, Actor("call_end"))
        assert finished is not None
        self.writes += finished.writes
        self.intervals = [(i.kind, i.start_sample, i.end_sample) for i in finished.intervals]
        file = np.zeros((finished.duration_samples, 2), np.int16)
        for write in self.writes:
            if write.frames is not None:
                file[write.start : write.end] = np.frombuffer(write.frames, np.int16).reshape(-1, 2)
        return file


@pytest.mark.parametrize("rate", RATES_HZ)
def test_it_stands_where_it_was_heard_at_the_files_rate(rate: int) -> None:
    desk = Desk(rate)
    desk.start(100)
    desk.speak(150)
    desk.speak(200, first=160)
    file = desk.finish(1_000)
    sound = SOUND.by_rate[rate]
    ms = rate // 1_000
    assert (file[150 * ms : 170 * ms, 0] == sound[: 20 * ms]).all()  # B's channel: A heard it
    assert (file[200 * ms : 220 * ms, 0] == sound[20 * ms : 40 * ms]).all()
    assert np.count_nonzero(file) == 40 * ms
    assert desk.intervals == [("announcement", 100 * ms, 1_000 * ms)]


def test_nothing_of_it_stands_outside_its_interval() -> None:
    desk = Desk()
    desk.speak(50)
    desk.start(100)
    desk.speak(90)
    desk.toggle(Action.STOP, 300)
    desk.speak(290)
    desk.speak(400)
    file = desk.finish(1_000)
    assert (np.flatnonzero(file[:, 0]) == [*range(800, 880), *range(2_320, 2_400)]).all()
    assert desk.intervals == [("announcement", 800, 2_400)]


def test_a_stop_takes_back_what_runs_ahead() -> None:
    desk = Desk()
    desk.start(100)
    desk.speak(100, ticks=800)
    desk.toggle(Action.STOP, 130)
    assert np.count_nonzero(desk.finish(1_000)) == 240


def test_nothing_is_handed_out_beyond_an_opening_that_is_not_durable() -> None:
    desk = Desk()
    desk.toggle(Action.START, 100)
    desk.speak(100)
    desk.pass_until(3_000)
    assert max((write.end for write in desk.writes), default=0) <= 800


def test_an_annulled_opening_leaves_nothing() -> None:
    desk = Desk()
    number = desk.toggle(Action.START, 100).number
    desk.speak(100)
    desk.recorder.annul(1, number)
    status = desk.recorder.status(1, 200 * MS)
    assert status is not None
    assert (status.state.value, status.intervals, status.open_since) == ("inactive", (), None)
    assert desk.recorder.announced(1, 300 * MS) is None
    assert not desk.finish(1_000).any()
    assert desk.intervals == []


def test_the_gate_opens_once_when_it_was_heard() -> None:
    desk = Desk(policy=Policy.AUTOMATIC)
    assert desk.opened is not None
    assert (desk.opened.announcing, desk.opened.effective_sample) == (True, 0)
    desk.recorder.confirm(1, desk.opened.number)
    assert [change.tap for change in desk.recorder.tap_changes(50 * MS)] == [Tap.HEADERS]
    heard = desk.recorder.announced(1, 200 * MS)
    assert heard is not None
    assert (heard.tentative, heard.announcing, heard.effective_sample) == (True, False, 1_600)
    assert [change.tap for change in desk.recorder.tap_changes(200 * MS)] == [Tap.PAYLOAD]
    assert desk.recorder.announced(1, 300 * MS) is None
    desk.recorder.confirm(1, heard.number)
    desk.finish(1_000)
    assert desk.intervals == [("announcement", 0, 1_600), ("audio", 1_600, 8_000)]


def test_the_calls_end_is_the_end_of_everything() -> None:
    desk = Desk()
    desk.start(100)
    desk.speak(990)
    desk.recorder.end(1, 1_000 * MS, Actor("call_end"))
    desk.speak(1_010)
    assert desk.recorder.announced(1, 1_100 * MS) is None
    assert len(desk.finish(1_200)) == 8_000
    assert desk.intervals == [("announcement", 800, 8_000)]
