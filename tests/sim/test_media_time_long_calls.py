"""Calls of a day and of two: as long as they were, and silent but for what was recorded."""

import numpy as np
import pytest

from tests.support.counts import count
from tests.support.field.sparse import LongCall
from tests.support.oracle import MS, RATE

HOUR = 3_600 * RATE


@pytest.mark.slow
@pytest.mark.timeout(count(600, full=7_200))  # half a minute of CPU a day, on a machine that may be busy
@pytest.mark.parametrize("hours", [24, *count((), full=(48,))])
def test_a_call_of_days_is_true_to_the_last_byte(hours: int) -> None:
    """Beyond 37 hours the file passes 4 GiB; the timestamps wrap after one, the clocks are 100 ppm off."""
    every = count(5, full=1)
    wanted = [(h * HOUR + 12_345, h * HOUR + 12_345 + 7 * RATE + h) for h in range(1, hours, every)]
    call = LongCall(hours * HOUR + 4_321, wanted)
    call.run()
    assert call.finished is not None
    assert call.end == call.finished.duration_samples == hours * HOUR + 4_321
    assert [(i.start_sample, i.end_sample) for i in call.finished.intervals] == wanted
    heard = np.zeros((len(wanted), 2), dtype=np.int64)
    for start, frames in call.kept:
        outside = np.ones(len(frames), dtype=bool)
        for number, (first, last) in enumerate(wanted):
            if first < start + len(frames) and start < last:
                inside = slice(max(first - start, 0), max(last - start, 0))
                outside[inside] = False
                heard[number] += np.count_nonzero(frames[inside], axis=0)
        assert not frames[outside].any()
        for leg in (0, 1):
            assert np.abs(call.error(leg, start, frames)).max(initial=0) <= 20 * MS
    lengths = np.array([last - first for first, last in wanted])
    assert (heard >= lengths[:, None] - 5 * MS).all()
    assert sum(len(frames) for _, frames in call.kept) < 3 * lengths.sum()
