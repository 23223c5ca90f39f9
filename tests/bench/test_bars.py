"""A demand is met or missed by what was measured, and never by what was not."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.bench import ours
from tests.bench.bars import judge
from tests.bench.relay import Round
from tests.bench.report import write
from tests.bench.results import Held, Masters, Memory, Results, Toggles

GOOD = Round(
    proxy="mediaproxy", calls=200, packets=300_000, cpu_us_per_packet=10.0, cores=0.2,
    delay_us=(60.0, 200.0, 900.0, 4000.0), lost=0, dropped_at_proxy=0, altered=0, sound=True, faultless=True,
    files=200, files_expected=200, faults=(), generator_us_per_packet=9.0, generator_late_ms=1.0,
    others_cores=0.0, stolen_cores=0.0,
)  # fmt: skip
PEER = replace(GOOD, proxy="rtpengine", cpu_us_per_packet=10.0)


def verdicts(*rounds: Round) -> list[bool]:
    return [bar.passed for bar in judge(Results({}, {}, list(rounds)))]


def test_good_rounds_meet_every_demand() -> None:
    assert verdicts(GOOD, PEER) == [True] * 5


@pytest.mark.parametrize(
    "bad",
    [
        replace(GOOD, lost=1),
        replace(GOOD, altered=1),
        replace(GOOD, sound=False),
        replace(GOOD, delay_us=(60.0, 200.0, 5001.0, 9000.0)),
        replace(GOOD, delay_us=(361.0, 400.0, 900.0, 4000.0)),
        replace(GOOD, files=199),
        replace(GOOD, cpu_us_per_packet=10.1),
    ],
)
def test_each_fault_misses_one_demand(bad: Round) -> None:
    assert verdicts(bad, PEER).count(False) == 1


def test_the_median_of_the_rounds_counts() -> None:
    slow = replace(GOOD, cpu_us_per_packet=30.0)
    assert all(verdicts(GOOD, PEER, slow, PEER, GOOD, PEER))


def test_a_peer_that_lost_packets_is_no_measure() -> None:
    assert verdicts(GOOD, replace(PEER, faultless=False)) == [True, True, True, False, False]


@pytest.mark.parametrize(("calls", "met", "missed"), [(200, 10.0, 10.1), (500, 9.5, 9.6), (1_000, 9.0, 9.1)])
def test_the_more_calls_the_less_a_packet_may_cost(calls: int, met: float, missed: float) -> None:
    peer = replace(PEER, calls=calls)
    for us, passed in ((met, True), (missed, False)):
        assert all(verdicts(replace(GOOD, calls=calls, cpu_us_per_packet=us), peer)) is passed


def test_rounds_of_another_level_are_no_measure() -> None:
    few, many = (GOOD, PEER), (replace(GOOD, calls=500, cpu_us_per_packet=9.6), replace(PEER, calls=500))
    assert verdicts(*few, *many).count(False) == 1
    assert verdicts(GOOD, replace(PEER, calls=500)) == [True] * 3


@pytest.mark.parametrize(
    ("change", "met"),
    [({}, True), ({"cpu_us_per_packet": 11.1}, False), ({"lost": 1}, False), ({"files": 199}, False)],
)
def test_workers_are_held_against_one_process(change: dict[str, float], met: bool) -> None:
    workers = replace(GOOD, proxy=ours.NAME_WITH_WORKERS, cpu_us_per_packet=10.9)
    assert verdicts(GOOD, replace(workers, **change))[-1] is met


def test_a_toggle_is_in_effect_in_time() -> None:
    toggles = [
        Toggles(500, 150, 4.0, 30.0, 40.0, 0, p99_ms, workers)
        for p99_ms, workers in [(19, 2), (21, 2), (20, 0)]
    ]
    assert [bar.passed for bar in judge(Results({}, {}, toggles=toggles))] == [True, False, True]


def test_nothing_measured_is_nothing_judged() -> None:
    assert judge(Results({}, {})) == []


def test_memory_is_the_difference_by_call_and_needs_whole_files() -> None:
    measured = [(82_000_000, 500), (82_100_000, 500), (82_000_000, 499)]
    idle = Held(60_000_000, 40, 20, 9)
    memory = [Memory(500, idle, Held(loaded, 2_040, 20, 9), files) for loaded, files in measured]
    results = Results({}, {}, memory=memory)
    assert memory[0].descriptors_per_call == 4
    assert [bar.passed for bar in judge(results)] == [True, False, False]


def test_an_hour_has_to_be_made_and_proven_in_time_in_either_format() -> None:
    measured = [(3.0, 500, 500), (3.1, 500, 500), (2.0, 499, 900), (2.0, 900, 499)]
    verdicts = [
        [bar.passed for bar in judge(Results({}, {}, masters=Masters(3_600, *figures)))]
        for figures in measured
    ]
    assert verdicts == [[True, True], [False, True], [True, False], [True, False]]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Of the module's scope, as matplotlib never closes the fonts that it has opened."""
    results = Results({"kernel": "Linux"}, {"calls": 200}, [GOOD, PEER])
    results.bars = judge(results)
    return write(results, tmp_path_factory.mktemp("report"))


def test_the_report_needs_nothing_beside_it(written: list[Path]) -> None:
    facts, page = written
    assert '"passed": true' in facts.read_text()
    assert "data:image/png;base64," in page.read_text()
    assert "Linux" in page.read_text()
