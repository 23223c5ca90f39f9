from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.recording.clock import CallClock

ANSWERED = 10**15 + 7
DAY_NS = 86_400 * 10**9


def test_a_day_at_8_khz_has_no_drift() -> None:
    clock = CallClock(ANSWERED, 8_000)
    assert clock.position(ANSWERED + DAY_NS) == 86_400 * 8_000
    assert clock.position(ANSWERED + DAY_NS - 1) == 86_400 * 8_000 - 1


def test_positions_before_the_answer_round_down() -> None:
    clock = CallClock(ANSWERED, 8_000)
    assert clock.position(ANSWERED) == 0
    assert clock.position(ANSWERED - 1) == -1
    assert clock.position(ANSWERED - 125_000) == -1


@given(st.integers(-(10**8), 10**12), st.sampled_from([8_000, 11_025, 16_000, 44_100, 48_000]))
def test_a_position_is_reached_at_its_first_nanosecond(position: int, rate: int) -> None:
    clock = CallClock(ANSWERED, rate)
    at = clock.reached_ns(position)
    assert clock.position(at) == position
    assert clock.position(at - 1) == position - 1
