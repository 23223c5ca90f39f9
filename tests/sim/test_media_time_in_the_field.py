"""What the field costs: audio from outside an interval, audio lost inside, audio at the wrong moment.

The bars of whole runs (`--full`) are those of 120 calls; `python -m tests.support.field` prints the table.
"""

import random

import pytest

from tests.support.counts import count
from tests.support.field.calls import any_call, record
from tests.support.field.classes import run
from tests.support.field.conditions import CLASSES, FIELD
from tests.support.field.judging import Truth
from tests.support.lanes import COMPILED_OR_NOT

SEED = 1
UNTOUCHED = (1.5, 0.02)  # worst leak in ms, missing in percent
BARS = dict.fromkeys(CLASSES, UNTOUCHED) | {
    "clocks to 500 ppm": (6.5, 0.1),
    "jitter, even to 40 ms": (5, 0.1),
    "jitter with a tail": (5, 0.1),
    "queues to 80 ms": (80, 0.6),
    "queues to 300 ms": (300, 2),
    "route changes to 15 ms": (15, 0.3),
    "route changes to 50 ms": (50, 0.4),
    "route changes to 200 ms": (200, 1.5),
    "network stalls to 300 ms": (5, 0.2),
    "network stalls to a second": (5, 2.5),
    "one-way audio": (5, 0.1),
    "mutes": (1.5, 0.05),
    "mutes of minutes": (5, 0.2),
    "frozen timestamps": (30, 2),
    "jumping timestamps": (5, 1),
    "the field": (100, 0.2),
    "the field, queues to 300 ms": (300, 3),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_each_class_costs_no_more_than_this(name: str) -> None:
    hidden = CLASSES[name].long_mutes > 0
    seconds = 420 if hidden else count(40, full=120)
    truth = run(CLASSES[name], count(1 if hidden else 2, full=40), seconds, seed=SEED)
    worst_leak_ms, missing_percent = BARS[name]
    assert (truth.expected > 0) != CLASSES[name].silent
    assert truth.intervals > 0
    assert truth.not_zero == 0
    assert truth.worst_leak_ms <= worst_leak_ms, truth.leaks
    assert truth.missing_percent <= missing_percent


def whole(conditions_name: str) -> Truth:
    truth = run(CLASSES[conditions_name], count(16, full=120), count(40, full=120), seed=SEED)
    assert truth.not_zero == 0
    return truth


@pytest.mark.slow
def test_in_the_field_next_to_nothing_leaks_and_next_to_nothing_is_missing() -> None:
    """What leaks was spoken at an end within half a second of the route's becoming slower."""
    truth = whole("the field")
    assert truth.leaking_calls <= count(1, full=8)
    assert truth.missing_percent <= count(0.25, full=0.12)


@pytest.mark.slow
def test_queues_let_in_only_what_arrived_after_the_start() -> None:
    truth = whole("the field, queues to 300 ms")
    assert truth.early_leaks == 0
    assert truth.leaking_calls <= count(8, full=30)


@pytest.mark.slow
@pytest.mark.parametrize("compiled", COMPILED_OR_NOT)
@pytest.mark.parametrize("name", ["the field", "clocks to 500 ppm", "jumping timestamps", "mutes"])
def test_the_fast_lane_is_the_rule_in_the_field_too(name: str, compiled: bool) -> None:
    outcomes = []
    for fast in (True, False):
        rng = random.Random(7)
        calls = [any_call(rng, number, CLASSES[name], 60, toggles=number * 3) for number in range(6)]
        outcomes.append(record(calls, rng, CLASSES[name], fast=fast, compiled=compiled))
    for by_lane, by_rule in zip(*outcomes, strict=True):
        assert by_lane.finished is not None
        assert by_rule.finished is not None
        assert by_lane.finished.streams == by_rule.finished.streams
        assert (by_lane.frames() == by_rule.frames()).all()


def test_the_field_is_hard() -> None:
    """A class that does nothing would prove nothing."""
    assert min(FIELD.ppm, FIELD.routes, FIELD.stalls, FIELD.mutes, FIELD.holds, FIELD.our_stalls) > 0
