from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.serial import signed_distance, unwrap


def test_the_shorter_way_round_decides() -> None:
    assert signed_distance(65_535, 0, bits=16) == 1
    assert signed_distance(0, 65_535, bits=16) == -1
    assert signed_distance(10, 7, bits=32) == -3


@given(start=st.integers(0, 1 << 40), steps=st.lists(st.integers(-32_768, 32_767), max_size=50))
def test_unwrapping_follows_any_walk_of_steps_below_half_the_range(start: int, steps: list[int]) -> None:
    truth = extended = start
    for step in steps:
        truth += step
        extended = unwrap(extended, truth % 65_536, bits=16)
        assert extended == truth
