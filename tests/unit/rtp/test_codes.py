"""Codes among digits: what acts, what is held, what is let go, and when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.rtp.codes import INTER_DIGIT_NS, CodeMatcher, Step

STANDARD = {"start": "*1", "stop": "*2", "toggle": "*3"}


def dial(matcher: CodeMatcher, digits: str, *, every_ns: int = 10**8) -> list[Step]:
    return [matcher.feed(digit, n * every_ns) for n, digit in enumerate(digits)]


def test_a_code_acts_at_its_last_digit() -> None:
    matcher = CodeMatcher(STANDARD)
    assert dial(matcher, "*2") == [Step(0, None), Step(0, "stop")]
    assert matcher.held == 0
    assert matcher.deadline_ns is None


@pytest.mark.parametrize(
    ("codes", "digits", "steps"),
    [
        pytest.param(STANDARD, "5", [(1, None)], id="a digit of no code is let go at once"),
        pytest.param(STANDARD, "*7", [(0, None), (2, None)], id="a broken code is let go whole"),
        pytest.param(STANDARD, "**1", [(0, None), (1, None), (0, "start")], id="the last star counts"),
        pytest.param(STANDARD, "*1*2", [(0, None), (0, "start"), (0, None), (0, "stop")], id="two codes"),
        pytest.param({"a": "12", "b": "123"}, "123", [(0, None), (0, "a"), (1, None)], id="the shorter acts"),
        pytest.param({"a": "1", "b": "*1"}, "*1", [(0, None), (0, "b")], id="the longer tail acts"),
        pytest.param({"a": "1", "b": "*12"}, "*1", [(0, None), (0, None)], id="begun first, decided first"),
        pytest.param(
            {"a": "1", "b": "*12"}, "*13", [(0, None), (0, None), (3, None)], id="a passed-over code is gone"
        ),
        pytest.param({"a": "*1", "b": "*1"}, "*1", [(0, None), (0, "a")], id="the first of equals"),
        pytest.param(
            {"a": "1122"}, "11122", [(0, None), (0, None), (1, None), (0, None), (0, "a")], id="overlap"
        ),
        pytest.param({}, "*1", [(1, None), (1, None)], id="no codes"),
    ],
)
def test_overlaps_are_decided_the_same_way_always(
    codes: dict[str, str], digits: str, steps: list[tuple[int, str | None]]
) -> None:
    assert dial(CodeMatcher(codes), digits) == [Step(*step) for step in steps]


def test_what_is_held_is_let_go_when_no_digit_follows_in_time() -> None:
    matcher = CodeMatcher(STANDARD)
    matcher.feed("*", 5)
    assert matcher.deadline_ns == 5 + INTER_DIGIT_NS
    assert matcher.expire(4 + INTER_DIGIT_NS) == 0
    assert matcher.expire(5 + INTER_DIGIT_NS) == 1
    assert matcher.expire(6 + INTER_DIGIT_NS) == 0


def test_a_digit_that_comes_too_late_finds_nothing_held_even_if_no_timer_ran() -> None:
    matcher = CodeMatcher(STANDARD)
    matcher.feed("*", 0)
    assert matcher.feed("1", INTER_DIGIT_NS) == Step(2, None)
    matcher.feed("*", INTER_DIGIT_NS + 1)
    assert matcher.feed("1", 2 * INTER_DIGIT_NS) == Step(0, "start")


@given(
    st.dictionaries(st.sampled_from("abc"), st.text("12*", min_size=1, max_size=4)),
    st.text("12*", max_size=30),
)
def test_every_digit_is_held_let_go_or_part_of_an_action(codes: dict[str, str], digits: str) -> None:
    matcher = CodeMatcher(codes)
    let_go = acted = 0
    for n, digit in enumerate(digits, 1):
        held = matcher.held + 1
        step = matcher.feed(digit, n)
        let_go += step.refused
        if step.action is not None:
            assert digits[:n].endswith(codes[step.action])
            assert held - step.refused == len(codes[step.action])
            acted += len(codes[step.action])
        assert let_go + acted + matcher.held == n


def test_held_digits_show_in_no_repr() -> None:
    matcher = CodeMatcher({"start": "987"})
    matcher.feed("9", 0)
    assert "9" not in repr(matcher).split(" at ")[0]
