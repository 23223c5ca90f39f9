from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mediaproxy.audio.g711 import ALAW_TO_PCM, ULAW_TO_PCM
from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId, Tap
from mediaproxy.recording.live import LiveRecording, Record
from mediaproxy.recording.manifest import Actor, Interval
from mediaproxy.recording.recorder import Arm, Finished, Recorder, TapChange, Write
from mediaproxy.recording.ring import PacketRing, left_out
from mediaproxy.recording.states import Action, Refusal, State, Toggled

ANSWERED = 5_000_000_000
MS = 1_000_000
PTIME = 160
LOUD = bytes([0x10]) * PTIME
LEVEL = int(ULAW_TO_PCM[0x10])
PCMU, PCMA = Codec("PCMU", 8_000), Codec("PCMA", 8_000)
AUDIO = {
    0: PCMU,
    8: PCMA,
    13: Codec("CN", 8_000),
    18: Codec("G729", 8_000),
    101: Codec("TELEPHONE-EVENT", 8_000),
}
ALICE, END = Actor("api", "alice"), Actor("call_end")
A, B = LegId.A, LegId.B


class Loop:
    """A recorder with one call (generation 1) and a plane that reads every 20 ms."""

    def __init__(
        self,
        policy: Policy = Policy.ON_DEMAND,
        *,
        pausable: bool = True,
        fast: bool = True,
        compiled: bool = True,
        rate: int = 8_000,
        audio: dict[int, Codec] = AUDIO,
    ) -> None:
        self.ring = PacketRing(256, now_ns=ANSWERED)
        self.recorder = Recorder(fast=fast, compiled=compiled)
        self.writes: list[Write] = []
        self.now_ms = 0
        self.speaking: dict[LegId, bytes | None] = {A: LOUD, B: None}
        self.ssrc = {A: 100, B: 200}
        self.payload_type = 0
        self.tap = Tap.OFF
        self.opened = self.recorder.arm(Arm(1, ANSWERED, RecordingPolicy(policy, pausable), sample_rate=rate))
        for leg in LegId:
            self.recorder.describe(1, leg, audio, frozenset({101}))
        self.taps()

    @property
    def now_ns(self) -> int:
        return ANSWERED + self.now_ms * MS

    def run(self, until_ms: int) -> "Loop":
        """20 ms at a time: what was spoken in them arrives at their end."""
        while self.now_ms < until_ms:
            self.now_ms += 20
            self.ring.begin_pass(self.now_ns)
            for leg, payload in self.speaking.items():
                if payload is not None:
                    self.put(leg, payload)
            self.ring.end_pass(emptied=True)
            self.drain()
        return self

    def put(
        self, leg: LegId, payload: bytes, *, seq: int | None = None, timestamp: int | None = None
    ) -> None:
        number = self.now_ms // 20 - 1
        head = (1, leg, self.payload_type, 0, self.ssrc[leg], number & 0xFFFF if seq is None else seq)
        stamp = number * PTIME if timestamp is None else timestamp
        if self.tap is Tap.PAYLOAD:
            self.ring.put(*head, stamp, self.now_ns, payload)
        elif self.tap is Tap.HEADERS:
            self.ring.put_header(*head, stamp, self.now_ns, len(payload))

    def drain(self) -> None:
        self.writes += self.recorder.drain(self.ring)
        self.taps()

    def taps(self) -> list[TapChange]:
        changes = self.recorder.tap_changes(self.now_ns)
        for change in changes:
            self.tap = change.tap
        return changes

    def toggle(self, action: Action, *, settle: bool = True) -> Toggled:
        outcome = self.recorder.toggle(1, action, ALICE, self.now_ns)
        assert isinstance(outcome, Toggled)
        if settle and outcome.tentative:
            self.recorder.confirm(1, outcome.number)
        self.taps()
        return outcome

    def finish(self) -> tuple[Finished, np.ndarray]:
        self.drain()
        finished = self.recorder.finish(1, self.now_ns, END)
        assert finished is not None
        self.writes += finished.writes
        return finished, self.file()

    def file(self) -> np.ndarray:
        end, parts = 0, []
        for write in self.writes:
            assert write.start == end
            parts.append(bytes((write.end - write.start) * 4) if write.frames is None else write.frames)
            end = write.end
        return np.frombuffer(b"".join(parts), "<i2").reshape(-1, 2)


@pytest.mark.parametrize("fast", [True, False])
def test_the_users_case(fast: bool) -> None:
    """A start at four fifths of the call: silence until then, then audio, and a file as long as the call."""
    loop = Loop(fast=fast)
    loop.run(4_000)
    started = loop.toggle(Action.START)
    loop.run(5_000)
    finished, file = loop.finish()
    assert started.effective_sample == 32_000
    assert finished.duration_samples == len(file) == 40_000
    assert finished.intervals == (Interval(32_000, 40_000, ALICE, END),)
    assert not file[:32_000].any()
    assert (file[32_000:, 0] == LEVEL).all()
    assert not file[:, 1].any()


def test_a_packet_is_cut_at_the_exact_sample() -> None:
    loop = Loop().run(2_000)
    loop.now_ms = 2_003
    loop.toggle(Action.START)
    loop.now_ms = 2_000
    loop.run(3_000)
    loop.now_ms = 3_007
    stopped = loop.toggle(Action.STOP)
    loop.now_ms = 3_000
    loop.run(4_000)
    _, file = loop.finish()
    assert stopped.effective_sample == 24_056
    loud = np.flatnonzero(file[:, 0])
    assert (loud[0], loud[-1], len(loud)) == (16_024, 24_055, 24_056 - 16_024)


def test_without_rtp_the_file_is_as_long_as_the_call() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.speaking = {}
    loop.run(3_000)
    assert loop.writes[-1].end > 8 * (3_000 - 700)
    finished, file = loop.finish()
    assert len(file) == finished.duration_samples == 24_000
    assert finished.opened
    assert all(write.frames is None for write in loop.writes)


def test_a_recorder_that_never_opened_says_so() -> None:
    finished, file = Loop().run(1_000).finish()
    assert not finished.opened
    assert not file.any()


def test_each_leg_has_its_channel_and_its_law() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.payload_type = 8
    loop.speaking = {A: LOUD, B: bytes([0x20]) * PTIME}
    loop.run(1_000)
    _, file = loop.finish()
    assert set(file[:, 0].tolist()) == {int(ALAW_TO_PCM[0x10])}
    assert set(file[:, 1].tolist()) == {int(ALAW_TO_PCM[0x20])}


def test_channels_may_be_crossed() -> None:
    recorder, ring = Recorder(), PacketRing(256)
    recorder.arm(Arm(9, 0, RecordingPolicy(Policy.AUTOMATIC), channels=(1, 0)))
    recorder.describe(9, A, AUDIO)
    for number in range(30):
        ring.put(9, 0, 0, 0, 1, number, number * PTIME, (number + 1) * 20 * MS, LOUD)
    recorder.drain(ring)
    recorder.confirm(9, 1)
    finished = recorder.finish(9, 600 * MS, END)
    assert finished is not None
    file = np.frombuffer(b"".join(w.frames or b"" for w in finished.writes), "<i2").reshape(-1, 2)
    assert not file[:, 0].any()
    assert file[:, 1].all()


def test_audio_of_an_unsettled_opening_is_not_handed_out() -> None:
    loop = Loop().run(2_000)
    started = loop.toggle(Action.START, settle=False)
    loop.run(6_000)
    assert loop.writes[-1].end <= started.effective_sample
    loop.recorder.confirm(1, started.number)
    loop.run(6_020)
    assert loop.writes[-1].end > started.effective_sample
    _, file = loop.finish()
    assert (file[16_000:, 0] == LEVEL).all()


def test_an_annulled_opening_leaves_no_byte() -> None:
    loop = Loop().run(2_000)
    started = loop.toggle(Action.START, settle=False)
    loop.run(2_300)
    loop.recorder.annul(1, started.number)
    assert loop.taps() == [TapChange(1, Tap.HEADERS)]
    loop.run(4_000)
    finished, file = loop.finish()
    assert not file.any()
    assert finished.intervals == ()
    assert all(write.frames is None for write in loop.writes)


def test_an_opening_left_unsettled_counts_as_annulled() -> None:
    loop = Loop().run(2_000)
    loop.toggle(Action.START, settle=False)
    loop.run(3_000)
    finished, file = loop.finish()
    assert len(file) == 24_000
    assert not file.any()
    assert not finished.opened


def test_the_tap_copies_payload_while_open_and_200_ms_longer() -> None:
    loop = Loop()
    assert loop.tap is Tap.HEADERS
    taps = []
    for until_ms, action in ((1_000, Action.START), (2_000, Action.STOP), (2_200, None), (2_220, None)):
        loop.run(until_ms)
        if action is not None:
            loop.toggle(action)
        taps.append(loop.tap)
    assert taps == [Tap.PAYLOAD, Tap.PAYLOAD, Tap.PAYLOAD, Tap.HEADERS]


def test_while_the_gate_is_closed_no_payload_is_in_the_ring() -> None:
    loop = Loop()
    loop.run(1_000)
    loop.now_ms += 20
    loop.put(A, LOUD)
    (records,) = loop.ring.take()
    assert not records["payload"].any()


def test_with_a_closed_gate_nothing_of_the_audio_stays_in_memory() -> None:
    loop = Loop().run(1_000)
    loop.toggle(Action.START)
    loop.run(2_000)
    loop.toggle(Action.STOP)
    loop.run(4_000)
    assert not any(block.any() for block in loop.recorder._pool.blocks)
    live = loop.recorder._live[1]
    assert live.window.row is None


def test_a_refused_toggle_changes_nothing() -> None:
    loop = Loop(Policy.AUTOMATIC, pausable=False)
    assert loop.recorder.toggle(1, Action.STOP, ALICE, loop.now_ns) is Refusal.LOCKED
    assert loop.recorder.toggle(2, Action.STOP, ALICE, loop.now_ns) is Refusal.ENDED


def test_after_the_end_toggles_are_refused_and_audio_is_not_taken() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(2_000)
    ended = loop.recorder.end(1, loop.now_ns, END)
    assert ended is not None
    assert (ended.state, ended.effective_sample) == (State.FINISHED, 16_000)
    assert loop.recorder.toggle(1, Action.START, ALICE, loop.now_ns) is Refusal.ENDED
    loop.run(4_000)
    finished, file = loop.finish()
    assert finished.duration_samples == len(file) == 16_000
    assert (file[:, 0] == LEVEL).all()
    assert loop.recorder.finish(1, loop.now_ns, END) is None


def test_a_stop_in_the_past_takes_back_what_was_not_handed_out() -> None:
    """A code takes effect at its last digit's first packet, which was a while ago."""
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(2_000)
    loop.now_ms = 1_900
    stopped = loop.toggle(Action.STOP)
    loop.now_ms = 2_000
    loop.run(3_000)
    _, file = loop.finish()
    assert stopped.effective_sample == 15_200
    assert (file[:15_200, 0] == LEVEL).all()
    assert not file[15_200:].any()


def test_a_stop_too_far_in_the_past_takes_effect_where_nothing_was_handed_out() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(3_000)
    written = loop.writes[-1].end
    loop.now_ms = 500
    stopped = loop.toggle(Action.STOP)
    loop.now_ms = 3_000
    loop.run(4_000)
    _, file = loop.finish()
    assert stopped.effective_sample == written
    assert file[:written, 0].all()
    assert not file[written:].any()


def test_a_withheld_digits_span_is_zero() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(2_000)
    for duration in (160, 480, 800):  # its packets name more and more of it
        loop.ring.put_digit(1, A, 101, 100, 40_000 + duration, 1_900 * 8, loop.now_ns, duration)
    loop.run(3_000)
    _, file = loop.finish()
    silent = np.flatnonzero(file[:, 0] == 0)
    assert (silent[0], silent[-1], len(silent)) == (15_200, 15_999, 800)


def file_beside_a_digit(*, fast: bool) -> np.ndarray:
    """Four calls, so that lanes are used; a digit is withheld from the first one's A-leg after a second."""
    ring, recorder = PacketRing(256, now_ns=ANSWERED), Recorder(fast=fast)
    for generation in range(1, 5):
        recorder.arm(Arm(generation, ANSWERED, RecordingPolicy(Policy.AUTOMATIC)))
        recorder.confirm(generation, 1)
        for leg in LegId:
            recorder.describe(generation, leg, AUDIO, frozenset({101}))
    writes: list[Write] = []
    for number in range(150):
        now_ns = ANSWERED + (number + 1) * 20 * MS
        ring.begin_pass(now_ns)
        for generation in range(1, 5):
            for leg in LegId:
                ring.put(generation, leg, 0, 0, 100 + leg, number, number * PTIME, now_ns, LOUD)
        if number == 51:
            ring.put_digit(1, A, 101, 100, 60_000, 45 * PTIME, now_ns, 800)
        ring.end_pass(emptied=True)
        writes += recorder.drain(ring)
    finished = recorder.finish(1, ANSWERED + 3_000 * MS, Actor("call_end"))
    assert finished is not None
    frames = [w.frames or bytes(4 * (w.end - w.start)) for w in writes + finished.writes if w.generation == 1]
    return np.frombuffer(b"".join(frames), "<i2").reshape(-1, 2)


def test_a_digit_of_one_leg_costs_the_other_nothing() -> None:
    """Zeros can't be told as codes: the window leaves its row while the other leg is lent to a lane."""
    file = file_beside_a_digit(fast=True)
    np.testing.assert_array_equal(file, file_beside_a_digit(fast=False))
    assert not file[7_200:8_000, 0].any()
    assert (file[:, 1] == LEVEL).all()


def test_comfort_noise_and_events_are_not_placed() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    for payload_type in (13, 101, 19):
        loop.payload_type = payload_type
        loop.run(loop.now_ms + 500)
    finished, file = loop.finish()
    assert not file.any()
    assert finished.reasons == ()
    assert finished.streams[0].packets == 75


def test_a_codec_that_we_do_not_decode_is_silence_with_a_reason() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.payload_type = 18
    finished, file = loop.run(1_000).finish()
    assert not file.any()
    assert finished.reasons == ("codec_unsupported",)
    assert finished.streams[0].codec == "G729"


def test_a_payload_type_that_nobody_described_is_silence_with_a_reason() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.payload_type = 77
    finished, file = loop.run(1_000).finish()
    assert not file.any()
    assert finished.reasons == ("codec_unsupported",)
    assert finished.streams[0].codec == "unknown"


def test_a_leg_that_is_not_heard_is_not_recorded() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(1_000)
    loop.recorder.describe(1, A, AUDIO, heard=False)
    loop.run(2_000)
    loop.recorder.describe(1, A, AUDIO)
    loop.run(3_000)
    finished, file = loop.finish()
    assert not file[8_000:16_000].any()
    assert (file[:8_000, 0] == LEVEL).all()
    assert (file[16_000:, 0] == LEVEL).all()
    assert finished.streams[0].lost == 0


def test_a_full_ring_is_a_reason() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(1_000)
    loop.ring.begin_pass(loop.now_ns)
    for _ in range(300):
        loop.put(A, LOUD)
    loop.ring.end_pass(emptied=True)
    finished, _ = loop.finish()
    assert finished.reasons == ("ring_full",)


@pytest.mark.parametrize("fast", [True, False])
def test_what_a_full_ring_dropped_is_no_gap_of_the_network(
    fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So nothing is held: a recorder that fell behind is at once as fast as before."""
    loop = Loop(Policy.AUTOMATIC, fast=fast)
    loop.recorder.confirm(1, 1)
    loop.run(1_000)
    with monkeypatch.context() as stalled:
        stalled.setattr(loop, "drain", lambda: None)
        loop.run(1_000 + 20 * 256 + 380)  # 256 find a slot, 19 none
    missing = left_out(1 * 2 + A)
    loop.run(loop.now_ms + 20 * (missing - 19) + 40)  # and some more are left out
    stream = loop.recorder._live[1].tracks[A].streams[100]
    assert stream.hold is None
    assert loop.recorder._lanes._lent.keys() == ({loop.recorder._live[1].slot * 2} if fast else set())
    loop.run(loop.now_ms + 1_000)
    finished, file = loop.finish()
    assert finished.reasons == ("ring_full",)
    silent = np.flatnonzero(file[8_000:-800, 0] == 0) + 8_000
    assert (silent[0], len(silent)) == (1_000 * 8 + 256 * PTIME, missing * PTIME)


def test_at_most_four_streams_a_leg_are_placed_at_once() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    for turn in range(100):
        loop.ssrc[A] = 100 + turn % 5
        loop.run(loop.now_ms + 20)
    finished, _ = loop.finish()
    assert "streams_exceeded" in finished.reasons
    assert len(finished.streams) == 4


@pytest.mark.parametrize("rate", [8_000, 16_000])
@pytest.mark.parametrize("fast", [True, False])
def test_two_sources_of_a_leg_at_once_leave_no_hole(fast: bool, rate: int) -> None:
    """As in a transfer: one speaks on for a second while the next one already does."""
    loop, other = Loop(Policy.AUTOMATIC, fast=fast, rate=rate), bytes([0x20]) * PTIME
    loop.recorder.confirm(1, 1)
    loop.run(1_000)
    while loop.now_ms < 3_000:
        if loop.now_ms == 2_000:
            loop.speaking[A] = None
        if loop.now_ms > 1_000:
            number = loop.now_ms // 20
            loop.ring.begin_pass(loop.now_ns)
            loop.ring.put(1, A, 0, 0, 101, number, 77 + number * PTIME, loop.now_ns, other)
            loop.ring.end_pass(emptied=True)
        loop.run(loop.now_ms + 20)
    finished, file = loop.finish()
    heard, ms = file[: 2_980 * rate // 1_000, 0], rate // 1_000
    assert [(s.ssrc, s.lost, s.late) for s in finished.streams] == [(100, 0, 0), (101, 0, 0)]
    assert heard.all()
    assert abs(int(heard[500 * ms]) - LEVEL) <= 1
    assert abs(int(heard[2_500 * ms]) - int(ULAW_TO_PCM[0x20])) <= 1


def test_a_stream_silent_for_a_second_gives_its_place_away() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    for number in range(6):
        loop.ssrc[A] = 100 + number
        loop.run(loop.now_ms + 2_000)
    finished, file = loop.finish()
    assert finished.reasons == ()
    assert [s.ssrc for s in finished.streams] == [100, 101, 102, 103, 104, 105]
    assert (file[:, 0] == LEVEL).all()


def test_generations_never_mix() -> None:
    """A late packet of the call before finds no recording, also where the look-up falls on ours."""
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.speaking = {}
    loop.run(500)
    for number in range(40):
        loop.ring.put(1 + 65_536, 0, 0, 0, 100, number, number * PTIME, loop.now_ns, LOUD)
        loop.ring.put(0, 0, 0, 0, 100, number, number * PTIME, loop.now_ns, LOUD)
    finished, file = loop.run(1_000).finish()
    assert not file.any()
    assert finished.streams == ()


def test_status_is_the_call_clock_of_the_moment() -> None:
    loop = Loop().run(1_000)
    loop.toggle(Action.START)
    loop.run(1_500)
    status = loop.recorder.status(1, loop.now_ns)
    assert status is not None
    assert (status.state, status.duration_samples, status.recorded_samples) == (
        State.RECORDING,
        12_000,
        4_000,
    )
    assert status.open_since == (8_000, ALICE, "audio")
    assert loop.recorder.status(2, loop.now_ns) is None


def test_a_slot_is_used_again_without_a_trace() -> None:
    loop = Loop(Policy.AUTOMATIC)
    loop.recorder.confirm(1, 1)
    loop.run(1_000).finish()
    recorder, ring = loop.recorder, loop.ring
    recorder.arm(Arm(2, loop.now_ns, RecordingPolicy(Policy.AUTOMATIC)))
    recorder.describe(2, A, AUDIO)
    finished = recorder.finish(2, loop.now_ns + 1_000 * MS, END)
    assert finished is not None
    assert all(write.frames is None for write in finished.writes)
    assert finished.streams == ()
    assert ring.used == 0


def calls_at_once(count: int, packets: int) -> tuple[Recorder, list[Write]]:
    """Leg A of calls 1 to `count` says its generation as a code, steadily."""
    recorder, ring = Recorder(), PacketRing(1_024)
    for generation in range(1, count + 1):
        recorder.arm(Arm(generation, 0, RecordingPolicy(Policy.AUTOMATIC)))
        recorder.describe(generation, A, AUDIO)
        recorder.confirm(generation, 1)
    writes: list[Write] = []
    for number in range(packets):
        ring.begin_pass((number + 1) * 20 * MS)
        for generation in range(1, count + 1):
            payload = bytes([generation]) * PTIME
            ring.put(generation, 0, 0, 0, generation, number, number * PTIME, (number + 1) * 20 * MS, payload)
        ring.end_pass(emptied=True)
        writes += recorder.drain(ring)
    return recorder, writes


def file_of(recorder: Recorder, writes: list[Write], generation: int, ms: int) -> tuple[Finished, np.ndarray]:
    finished = recorder.finish(generation, ms * MS, END)
    assert finished is not None
    mine = [w for w in writes if w.generation == generation] + finished.writes
    blocks = [bytes((w.end - w.start) * 4) if w.frames is None else w.frames for w in mine]
    return finished, np.frombuffer(b"".join(blocks), "<i2").reshape(-1, 2)


def test_more_calls_than_slots() -> None:
    recorder, writes = calls_at_once(200, 60)
    for generation in range(1, 201):
        _, file = file_of(recorder, writes, generation, 1_200)
        assert len(file) == 9_600
        assert (file[:, 0] == ULAW_TO_PCM[generation]).all()


def test_steady_streams_go_by_their_lanes(monkeypatch: pytest.MonkeyPatch) -> None:
    by_rule: list[Record] = []
    receive = LiveRecording.receive

    def note(self: LiveRecording, record: Record) -> object:
        by_rule.append(record)
        return receive(self, record)

    monkeypatch.setattr(LiveRecording, "receive", note)
    calls_at_once(20, 100)
    assert len(by_rule) == 20 * 17  # the anchor's 300 ms and the packet after them


def test_a_broken_call_hurts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = LiveRecording.receive

    def fail(self: LiveRecording, record: Record) -> object:
        if self.generation == 3 and record.seq == 10:
            raise ZeroDivisionError
        return receive(self, record)

    monkeypatch.setattr(LiveRecording, "receive", fail)
    recorder, writes = calls_at_once(5, 60)
    for generation in range(1, 6):
        finished, file = file_of(recorder, writes, generation, 1_200)
        assert len(file) == 9_600
        assert bool(file[:, 0].all()) == (generation != 3)
        assert finished.reasons == (("recorder_failed",) if generation == 3 else ())


# All that we decode, each at a clock of its own, and what we don't.
DECODED = AUDIO | {9: Codec("G722", 8_000), 97: Codec("L16", 44_100, 2), 111: Codec("OPUS", 48_000, 2)}

garbage = st.tuples(
    st.integers(0, 1),  # leg
    st.sampled_from([0, 8, 9, 13, 18, 97, 101, 111, 127]),  # payload type
    st.integers(0, 1),  # marker
    st.sampled_from([100, 101, 0, 0xFFFFFFFF]),  # SSRC
    st.one_of(st.integers(0, 0xFFFF), st.integers(0, 5)),  # sequence number
    st.one_of(st.integers(0, 0xFFFFFFFF), st.integers(0, 4_000), st.just(0)),  # timestamp
    st.one_of(st.integers(0, 1_472), st.just(160)),  # payload bytes
    st.sampled_from(["payload", "payload", "header", "digit"]),
    st.one_of(st.just(0), st.integers(0, 400)),  # ms until it comes
)


@pytest.mark.slow
@settings(max_examples=150)
@given(
    st.lists(garbage, max_size=60),
    st.sampled_from([8_000, 16_000, 48_000]),
    st.booleans(),
    st.integers(0, 99),
)
def test_no_packet_breaks_a_recording(
    packets: list[tuple[int, int, int, int, int, int, int, str, int]], rate: int, fast: bool, seed: int
) -> None:
    loop, said = Loop(Policy.AUTOMATIC, fast=fast, rate=rate, audio=DECODED), Random(seed).randbytes(1_472)
    loop.recorder.confirm(1, 1)
    loop.speaking = {}
    for leg, payload_type, marker, ssrc, seq, timestamp, length, kind, wait_ms in packets:
        loop.run(loop.now_ms + wait_ms)
        head = (1, leg, payload_type, marker, ssrc, seq, timestamp, loop.now_ns)
        if kind == "payload":
            loop.ring.put(*head, said[:length])
        elif kind == "header":
            loop.ring.put_header(*head, length)
        else:
            loop.ring.put_digit(1, leg, payload_type, ssrc, seq, timestamp, loop.now_ns, length)
    finished, file = loop.finish()
    assert "recorder_failed" not in finished.reasons
    assert len(file) == finished.duration_samples == loop.now_ms * rate // 1_000
