"""Calls that run steadily are handed out all in one step; their files are those of the rule."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from mediaproxy.calls.model import Policy, RecordingPolicy
from mediaproxy.calls.plane import Codec, LegId
from mediaproxy.recording.live import CHUNK_MS, PHASE, LiveRecording
from mediaproxy.recording.manifest import Actor
from mediaproxy.recording.recorder import Arm, Recorder, Write
from mediaproxy.recording.ring import PacketRing
from mediaproxy.recording.states import Action, Toggled
from mediaproxy.recording.window import Stretch
from tests.support.lanes import COMPILED_OR_NOT

MS = 1_000_000
PTIME = 160
CALLS = 12
PACKETS = 200
CHUNK = CHUNK_MS * 8
LAWS = (Codec("PCMU", 8_000), Codec("PCMA", 8_000))
BY = Actor("api", "alice")

# What is odd about some of the calls; all others are steady.
ONE_WAY, LOSSY, CROSSED, TOGGLED, DIGITS, SILENT = 3, 4, 5, 6, 7, 11


def files(
    *, fast: bool = True, compiled: bool = True, at_once: int | None = None
) -> tuple[dict[int, bytes], list[Write]]:
    """Every combination of laws and channels, answered one after the other; noise on all legs."""
    recorder, ring, random = Recorder(fast=fast, compiled=compiled), PacketRing(1_024), Random(1)
    writes: list[Write] = []
    just_taken, hand_outs = False, 0
    for number in range(PACKETS):
        now_ns = (number + 1) * 20 * MS
        if number < CALLS:
            answer(recorder, number + 1, now_ns)
        ring.begin_pass(now_ns)
        for generation in range(1, min(number + 1, CALLS) + 1):
            for leg in LegId:
                each = packets_in_one(generation, leg)
                said, kind, seq = random.randbytes(PTIME * each), law(generation, leg), number // each
                lost = generation == CROSSED and leg is LegId.A and just_taken and hand_outs % 2 == 0
                if number % each == 0 and is_said(generation, leg, number) and not lost:
                    ring.put(generation, leg, kind, 0, leg + 1, seq, number * PTIME, now_ns, said)
        if number in (60, 61):
            ring.put_digit(DIGITS, LegId.B, 101, 2, 60_000 + number, 58 * PTIME, now_ns, 320 * (number - 59))
        ring.end_pass(emptied=True)
        drained = recorder.drain(ring) if at_once is None else drain_in_pieces(recorder, ring, at_once)
        writes += drained
        just_taken = any(write.generation == CROSSED for write in drained)
        hand_outs += just_taken
        if number in (70, 150):
            toggle(recorder, TOGGLED, now_ns)
    for generation in range(1, CALLS + 1):
        finished = recorder.finish(generation, PACKETS * 20 * MS + 5 * MS, BY)
        assert finished is not None
        writes += finished.writes
    return {generation: file_of(writes, generation) for generation in range(1, CALLS + 1)}, writes


def drain_in_pieces(recorder: Recorder, ring: PacketRing, at_once: int) -> list[Write]:
    """Handed out only when it must be."""
    while ring.used:
        recorder.take(ring, at_once)
    return list(recorder.write_out()) if recorder.lags else []


def packets_in_one(generation: int, leg: LegId) -> int:
    """Some B-legs speak 40 ms at once, so that one channel reaches further than the other."""
    return 1 + (generation % 3 == 2 and leg is LegId.B)


def is_said(generation: int, leg: LegId, number: int) -> bool:
    if generation == LOSSY:
        return leg is LegId.A or number % 37 != 0
    if generation == SILENT:
        return number >= 120
    return generation != ONE_WAY or leg is LegId.B


def law(generation: int, leg: LegId) -> int:
    """The payload type: PCMU or PCMA."""
    return 8 * (generation >> leg & 1)


def answer(recorder: Recorder, generation: int, now_ns: int) -> None:
    channels = (1, 0) if generation in (CROSSED, 10) else (0, 1)
    recorder.arm(Arm(generation, now_ns - 3 * MS, RecordingPolicy(Policy.AUTOMATIC), channels))
    recorder.confirm(generation, 1)
    for leg in LegId:
        recorder.describe(generation, leg, {0: LAWS[0], 8: LAWS[1]}, frozenset({101}))


def toggle(recorder: Recorder, generation: int, now_ns: int) -> None:
    toggled = recorder.toggle(generation, Action.TOGGLE, BY, now_ns)
    assert isinstance(toggled, Toggled)
    if toggled.tentative:
        recorder.confirm(generation, toggled.number)


def file_of(writes: list[Write], generation: int) -> bytes:
    mine = [write for write in writes if write.generation == generation]
    assert all(one.end == following.start for one, following in pairwise(mine))
    return b"".join(w.frames or bytes(4 * (w.end - w.start)) for w in mine)


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
def test_files_are_those_of_the_rule(compiled: bool) -> None:
    steady, _ = files(compiled=compiled)
    by_rule, _ = files(fast=False)
    assert [generation for generation in by_rule if steady[generation] != by_rule[generation]] == []
    assert all(np.frombuffer(file, "<i2").any() for file in by_rule.values())


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
def test_files_are_those_of_the_rule_when_the_ring_is_taken_in_pieces(compiled: bool) -> None:
    steady, _ = files(compiled=compiled, at_once=5)
    by_rule, _ = files(fast=False, at_once=5)
    assert [generation for generation in by_rule if steady[generation] != by_rule[generation]] == []


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
def test_a_call_owes_nothing_to_the_one_whose_slot_it_has(compiled: bool) -> None:
    """The first one's window moved on without being told, to far beyond where the second one begins."""
    recorder, ring, said = Recorder(compiled=compiled), PacketRing(64), bytes(range(PTIME))
    writes: list[Write] = []
    for generation, legs in ((1, (LegId.A, LegId.B)), (2, (LegId.B,))):
        began_ns = generation * 10_000 * MS
        answer(recorder, generation, began_ns)
        for number in range(PACKETS):
            now_ns = began_ns + (number + 1) * 20 * MS
            ring.begin_pass(now_ns)
            for leg in legs:
                ring.put(generation, leg, 0, 0, 9, number, number * PTIME, now_ns, said)
            # A lone record goes by the rule: with some of nobody's it is placed with others.
            for _ in range(4):
                ring.put(99, LegId.A, 0, 0, 9, number, number * PTIME, now_ns, said)
            ring.end_pass(emptied=True)
            writes += recorder.drain(ring)
        finished = recorder.finish(generation, now_ns + 5 * MS, BY)
        assert finished is not None
        writes += finished.writes
    second = np.frombuffer(file_of(writes, 2), "<i2").reshape(-1, 2)
    assert not second[:, 0].any()
    assert np.count_nonzero(second[:, 1]) >= (PACKETS - 2) * (PTIME - 2)


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
def test_hand_outs_are_whole_pages_of_the_file(compiled: bool) -> None:
    _, writes = files(compiled=compiled)
    mine = [write for write in writes if write.generation == 1 and CHUNK < write.end < 28_500]
    assert {(write.end - write.start, (write.end + PHASE) % CHUNK) for write in mine} == {(CHUNK, 0)}


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
def test_nothing_of_an_undecided_opening_is_handed_out(compiled: bool) -> None:
    recorder, ring = Recorder(compiled=compiled), PacketRing(256)
    for generation in range(1, 5):
        answer(recorder, generation, 0)
    opened: Toggled | None = None
    writes: list[Write] = []
    for number in range(150):
        now_ns = (number + 1) * 20 * MS
        ring.begin_pass(now_ns)
        for generation in range(1, 5):
            for leg in LegId:
                kind = law(generation, leg)
                ring.put(generation, leg, kind, 0, 9, number, number * PTIME, now_ns, bytes(PTIME))
        ring.end_pass(emptied=True)
        writes += recorder.drain(ring)
        if number in (70, 71):
            outcome = recorder.toggle(2, Action.TOGGLE, BY, now_ns)
            opened = outcome if isinstance(outcome, Toggled) else None
    assert opened is not None
    assert opened.tentative
    assert max(write.end for write in writes if write.generation == 2) <= opened.effective_sample
    assert max(write.end for write in writes if write.generation == 1) > opened.effective_sample


@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
@pytest.mark.parametrize("generation", [1, 8, 9, 10])
def test_a_steady_call_is_looked_at_no_more(
    generation: int, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at: list[int] = []
    write_out = LiveRecording.write_out

    def note(self: LiveRecording, mark: int) -> list[Stretch]:
        looked_at.append(self.generation)
        return write_out(self, mark)

    monkeypatch.setattr(LiveRecording, "write_out", note)
    files(compiled=compiled)
    assert looked_at.count(generation) <= 3  # of fourteen chunks: the anchor's, and what comes after it
    assert looked_at.count(ONE_WAY) > 10
