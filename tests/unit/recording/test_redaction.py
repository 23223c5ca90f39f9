"""A redaction by time never leaves a sample that was asked to go."""

import pytest

from mediaproxy.recording.redaction import by_ms, last_ms, whole_ms


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [
        (1, 1000),
        (0.57, 570),
        (0.07, 70),
        (8.2, 8200),
        (1.0004, 1001),
        (0.0001, 1),
        (1e-12, 1),
        (0, 0),
        (-1, 0),
    ],
)
def test_seconds_are_rounded_up_and_floats_are_no_time(seconds: float, ms: int) -> None:
    assert whole_ms(seconds) == ms


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100, 48_000])
def test_every_sample_that_a_range_touches_goes(rate: int) -> None:
    for start_ms, end_ms in ((0, 1), (1, 2), (3, 1_000), (999, 1_001)):
        start, end = by_ms(start_ms, end_ms, 10 * rate, rate)
        assert start * 1000 <= start_ms * rate < (start + 1) * 1000
        assert (end - 1) * 1000 < end_ms * rate <= end * 1000
    assert last_ms(1, rate, rate) == (rate - -(-rate // 1000), rate)
    assert last_ms(5_000, rate, rate) == (0, rate)
