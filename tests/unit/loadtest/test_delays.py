"""Delays as counts: percentiles to 2 %, the largest exact, over time."""

import numpy as np
import pytest

from mediaproxy.loadtest.delays import Delays


@pytest.mark.parametrize("percent", [1, 50, 99, 99.9])
def test_percentiles_are_those_of_the_packets_to_two_percent(percent: float) -> None:
    took = np.random.default_rng(1).lognormal(5, 1, 50_000)
    found = Delays(1.0, 10.0)
    found.add(np.zeros(len(took)), took)
    assert found.percentiles([percent])[0] == pytest.approx(np.percentile(took, percent), rel=0.021)
    assert found.percentiles([100]) == [took.max()]
    assert found.total == 50_000


def test_a_span_of_time_is_told_apart() -> None:
    found = Delays(0.1, 10.0)
    found.add(np.array([0.0, 5.0, 5.05]), np.array([100.0, 1_000.0, 2_000.0]))
    assert found.percentiles([100], 0.0, 4.0) == [100.0]
    assert found.percentiles([100], 5.0, 6.0) == [2_000.0]
    assert found.percentiles([50], 1.0, 4.0) == []


def test_what_is_later_than_foreseen_counts_at_the_end() -> None:
    found = Delays(1.0, 2.0)
    found.add(np.array([99.0]), np.array([1e12]))
    assert found.largest_us[-1] == 1e12
    assert found.total == 1
