"""Two clocks, hours long: each leg stays where it was heard, and never jumps by more than a sample."""

import pytest

from tests.support.counts import count
from tests.support.field.endless import Calls
from tests.support.oracle import MS, RATE

MINUTE = 60


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ppm", "seconds"),
    [(100, count(4 * MINUTE, full=60 * MINUTE)), (500, count(4 * MINUTE, full=480 * MINUTE))],
)
def test_legs_stay_within_20_ms_by_slips_of_one_sample(ppm: int, seconds: int) -> None:
    calls = Calls([ppm, -ppm])
    calls.run(seconds)
    expected = ppm * seconds * RATE // 1_000_000
    for speech, facts in zip(calls.speeches, calls.finished[0].streams, strict=True):
        assert speech.worst_error <= 20 * MS
        assert speech.worst_step == 1
        assert speech.slips == facts.slips
        assert abs(facts.slips - expected) <= 20 * MS
        assert facts.reanchors == 0
        assert facts.ppm == pytest.approx(speech.ppm, abs=count(30, full=5))
        assert speech.missing <= 60 * MS  # before its first packet came
