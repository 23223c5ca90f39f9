"""The field is worth something: each bug planted in media time shows in its figures.

What is right is measured first, on the same calls; each bug must make it clearly worse.
"""

import functools
import random

import numpy as np
import pytest

from mediaproxy.calls.plane import Tap
from mediaproxy.recording import drift, live
from mediaproxy.recording.gate import Gate, Opening
from mediaproxy.recording.packets import Packet
from mediaproxy.recording.streams import NOWHERE_ELSE, Spread, Stream
from tests.support.field.calls import any_call, record
from tests.support.field.classes import run
from tests.support.field.conditions import CLASSES, Conditions
from tests.support.field.judging import Truth, judge
from tests.support.oracle import MS, RATE

FASTER = Conditions(routes=6, route_ms=19)  # a packet up to 20 ms ahead lowers no offset
ROUTES, CLOCKS = CLASSES["route changes to 50 ms"], Conditions(ppm=500)


def tried(conditions: Conditions, *, calls: int = 4, seconds: int = 40, seed: int = 1) -> Truth:
    return run(conditions, calls, seconds, seed=seed, fast=False)


@functools.cache
def right(conditions: Conditions, calls: int = 4, seconds: int = 40) -> Truth:
    return tried(conditions, calls=calls, seconds=seconds)


def always_open(conditions: Conditions, seconds: int) -> Truth:
    """A call that is recorded nearly from its answer to its end."""
    rng = random.Random(10)  # one clock is 294 ppm slow, the other 497 fast
    call = any_call(rng, 0, conditions, seconds, toggles=1)
    call.toggles = [800]
    return judge(record([call], rng, conditions, fast=False)[0])


def slowly_slower() -> int:
    """Re-anchors of a call whose path takes 150 ms longer by and by, without a gap."""
    rng = random.Random(1)
    call = any_call(rng, 0, Conditions(), 40, toggles=1)
    call.toggles = [800]
    for leg in call.legs:
        reaches = leg.packets["reaches"]
        reaches += np.interp(reaches, [8 * RATE, 14 * RATE], [0, 150 * MS])
    return judge(record([call], rng, Conditions(), fast=False)[0]).reanchors


@pytest.mark.slow
def test_the_last_ten_seconds_forgotten_at_a_start(monkeypatch: pytest.MonkeyPatch) -> None:
    good = right(FASTER, 8)
    spread = Stream.spread
    monkeypatch.setattr(Stream, "spread", lambda self, packet: Spread(0, spread(self, packet).late))
    monkeypatch.setattr(Stream, "opened", lambda *_, **__: [])
    assert tried(FASTER, calls=8).leaking_calls > good.leaking_calls + 1


@pytest.mark.slow
def test_what_came_of_late_forgotten_at_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    good, spread = right(ROUTES, 8), Stream.spread
    monkeypatch.setattr(Stream, "spread", lambda self, packet: Spread(spread(self, packet).early, 0))
    assert tried(ROUTES, calls=8).leaking_calls > good.leaking_calls + 1


@pytest.mark.slow
def test_a_gate_of_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    good = right(ROUTES, 8)
    monkeypatch.setattr(Stream, "spread", lambda *_: NOWHERE_ELSE)
    assert tried(ROUTES, calls=8).leaking_calls > good.leaking_calls + 1


@pytest.mark.slow
def test_drift_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert always_open(CLOCKS, 180).worst_error_ms <= 15
    monkeypatch.setattr(drift.Drift, "end_window", lambda self, second, heard, _: self.begin(second, heard))
    assert always_open(CLOCKS, 180).worst_error_ms > 20


@pytest.mark.slow
def test_a_slip_the_wrong_way(monkeypatch: pytest.MonkeyPatch) -> None:
    compare = drift.Drift._compare
    monkeypatch.setattr(
        drift.Drift,
        "_compare",
        lambda self, second, least: compare(self, second, 2 * (self._last or 0) - least),
    )
    assert always_open(CLOCKS, 180).worst_error_ms > 20


@pytest.mark.slow
def test_raised_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert slowly_slower() == 2
    follow = Stream._follow_network

    def never_up(self: Stream, packet: Packet, offset: int, *, is_open: bool) -> None:
        if packet.start + packet.samples + offset > packet.arrival:
            follow(self, packet, offset, is_open=is_open)

    monkeypatch.setattr(Stream, "_follow_network", never_up)
    assert slowly_slower() == 0


@pytest.mark.slow
def test_an_offset_that_only_rises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A late packet moves it up, also while the gate is closed, and nothing brings it down."""
    place = Stream._place

    def up(self: Stream, packet: Packet) -> bool:
        if self.offset is not None and not packet.digit:
            self.offset = max(self.offset, packet.transit)
        return place(self, packet)

    jitter = CLASSES["jitter, even to 40 ms"]
    assert right(jitter).worst_leak_ms <= 5
    monkeypatch.setattr(Stream, "_place", up)
    monkeypatch.setattr(Stream, "spread", lambda *_: NOWHERE_ELSE)
    assert tried(jitter).worst_leak_ms > 10


@pytest.mark.slow
def test_a_late_window_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes a second after a stop is never recorded, wherever it belongs."""
    stalls = Conditions(stalls=12, stall_ms=1_000)

    def admitted(truth: Truth) -> int:
        return truth.late_leaks

    assert admitted(right(stalls)) == 0
    monkeypatch.setattr(
        Gate, "admitting", lambda self, arrival, late: [o for o in self.openings if o.start <= arrival]
    )
    monkeypatch.setattr(live.LiveRecording, "tap_at", lambda *_: Tap.PAYLOAD)
    monkeypatch.setattr(live, "LAG_MS", 2_000)
    assert admitted(tried(stalls)) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("edge", "by"), [("start", -1), ("end", 1)])
def test_an_edge_off_by_one(monkeypatch: pytest.MonkeyPatch, edge: str, by: int) -> None:
    admitting = Gate.admitting

    def shifted(self: Gate, arrival: int, late: int) -> list[Opening]:
        found = []
        for o in admitting(self, arrival, late):
            start = o.start + (by if edge == "start" else 0)
            end = None if o.end is None else o.end + (by if edge == "end" else 0)
            found.append(Opening(o.number, start, o.started_by, o.tentative, end))
        return found

    assert right(Conditions()).not_zero == 0
    monkeypatch.setattr(Gate, "admitting", shifted)
    assert tried(Conditions()).not_zero > 0


@pytest.mark.slow
def test_a_senders_step_back_taken_for_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = CLASSES["jumping timestamps"]
    good = right(jumps, 8)
    monkeypatch.setattr(Stream, "_follow", lambda *_: None)
    assert tried(jumps, calls=8).missing_percent > 2 * good.missing_percent


@pytest.mark.slow
def test_a_stall_of_ours_taken_for_the_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever judges by A instead of A0 throws away what a stall kept waiting."""
    stalls = CLASSES["our own stalls"]
    receive = Stream.receive

    def by_arrival(self: Stream, packet: Packet, *, is_open: bool) -> list[Packet]:
        packet.earliest = packet.arrival
        return receive(self, packet, is_open=is_open)

    assert right(stalls).missing_percent < 0.05
    monkeypatch.setattr(Stream, "receive", by_arrival)
    assert tried(stalls).missing_percent > 0.2
