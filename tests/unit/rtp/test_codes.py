"""Codes among digits: what acts, what is held, what is let go, and when."""

from itertools import product, takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mediaproxy.rtp.codes import INTER_DIGIT_NS, CodeMatcher, Cut, Pending

STANDARD = {"start": "*1", "stop": "*2", "toggle": "*3"}
NESTED = {"start": "*1", "stop": "*11", "pause": "*1124"}

CODES = st.dictionaries(st.sampled_from("abcd"), st.text("12*", min_size=1, max_size=4))
DIGITS = st.text("12*", max_size=20)


def dial(matcher: CodeMatcher, digits: str, *, every_ns: int = 100, from_ns: int = 0) -> list[list[Cut]]:
    return [matcher.feed(digit, from_ns + n * every_ns) for n, digit in enumerate(digits)]


def flat(cuts: list[list[Cut]]) -> list[Cut]:
    return [cut for step in cuts for cut in step]


def model(codes: dict[str, str], row: str) -> list[tuple[int, str | None]]:
    """A whole row of digits, cut from the left by the longest code: (digits, action)."""
    cuts: list[tuple[int, str | None]] = []
    while row:
        fitting = [digits for digits in codes.values() if row.startswith(digits)]
        taken = max(fitting, key=len, default=row[0])
        action = next((action for action, digits in codes.items() if digits == taken), None)
        cuts.append((len(taken), action if fitting else None))
        row = row[len(taken) :]
    return cuts


def test_a_code_acts_at_its_last_digit() -> None:
    matcher = CodeMatcher(STANDARD)
    assert dial(matcher, "*2") == [[], [Cut(2, "stop", 100)]]
    assert matcher.held == 0
    assert matcher.deadline_ns is None


@pytest.mark.parametrize(
    ("codes", "digits", "cuts"),
    [
        pytest.param(STANDARD, "5", [[(1, None)]], id="a digit of no code is let go at once"),
        pytest.param(STANDARD, "*7", [[], [(1, None), (1, None)]], id="a broken code is let go whole"),
        pytest.param(STANDARD, "**1", [[], [(1, None)], [(2, "start")]], id="the last star counts"),
        pytest.param(STANDARD, "*1*2", [[], [(2, "start")], [], [(2, "stop")]], id="two codes"),
        pytest.param({"a": "12", "b": "123"}, "123", [[], [], [(3, "b")]], id="the longer acts"),
        pytest.param({"a": "12", "b": "123"}, "124", [[], [], [(2, "a"), (1, None)]], id="else the shorter"),
        pytest.param(NESTED, "*112*2", [[], [], [], [], [(3, "stop"), (1, None)], [(1, None), (1, None)]],
                     id="what a broken longer code leaves is looked at again"),
        pytest.param(NESTED, "*1*11*", [[], [], [(2, "start")], [], [], [(3, "stop")]], id="back to back"),
        pytest.param({"a": "1", "b": "*1"}, "*1", [[], [(2, "b")]], id="begun first, taken first"),
        pytest.param({"a": "1", "b": "*12"}, "*13", [[], [], [(1, None), (1, "a"), (1, None)]],
                     id="a code within a broken one is one"),
        pytest.param({"a": "*1", "b": "*1"}, "*1", [[], [(2, "a")]], id="the first of equals"),
        pytest.param({"a": "1122"}, "11122", [[], [], [(1, None)], [], [(4, "a")]], id="overlap"),
        pytest.param({}, "*1", [[(1, None)], [(1, None)]], id="no codes"),
        pytest.param({"a": ""}, "*", [[(1, None)]], id="no digits are no code"),
    ],
)  # fmt: skip
def test_overlaps_are_decided_the_same_way_always(
    codes: dict[str, str], digits: str, cuts: list[list[tuple[int, str | None]]]
) -> None:
    assert [[cut[:2] for cut in step] for step in dial(CodeMatcher(codes), digits)] == cuts


def test_a_code_that_begins_others_waits_and_then_counts_as_of_its_own_last_digit() -> None:
    matcher = CodeMatcher(NESTED)
    assert flat(dial(matcher, "*1")) == []
    assert matcher.pending == Pending("start", 100)
    assert matcher.expire(99 + INTER_DIGIT_NS) == []
    assert matcher.expire(100 + INTER_DIGIT_NS) == [Cut(2, "start", 100)]
    assert matcher.pending is None


def test_each_longer_code_takes_the_place_of_the_shorter() -> None:
    matcher = CodeMatcher(NESTED)
    seen = []
    for n, digit in enumerate("*1124"):
        cuts = matcher.feed(digit, n)
        seen.append(matcher.pending)
    assert seen == [None, Pending("start", 1), Pending("stop", 2), Pending("stop", 2), None]
    assert cuts == [Cut(5, "pause", 4)]


def test_what_is_held_is_let_go_when_no_digit_follows_in_time() -> None:
    matcher = CodeMatcher(STANDARD)
    matcher.feed("*", 5)
    assert matcher.deadline_ns == 5 + INTER_DIGIT_NS
    assert matcher.expire(4 + INTER_DIGIT_NS) == []
    assert matcher.expire(5 + INTER_DIGIT_NS) == [Cut(1)]
    assert matcher.expire(6 + INTER_DIGIT_NS) == []


def test_a_digit_that_comes_too_late_finds_nothing_held_even_if_no_timer_ran() -> None:
    matcher = CodeMatcher(STANDARD)
    matcher.feed("*", 0)
    assert matcher.feed("1", INTER_DIGIT_NS) == [Cut(1), Cut(1)]
    matcher.feed("*", INTER_DIGIT_NS + 1)
    assert matcher.feed("1", 2 * INTER_DIGIT_NS) == [Cut(2, "start", 2 * INTER_DIGIT_NS)]


def test_what_is_forgotten_is_neither_let_go_nor_part_of_a_code() -> None:
    matcher = CodeMatcher(STANDARD)
    matcher.feed("*", 0)
    matcher.forget()
    assert (matcher.held, matcher.deadline_ns) == (0, None)
    assert matcher.feed("1", 1) == [Cut(1)]


@given(CODES, st.lists(st.tuples(st.sampled_from("12*"), st.sampled_from([1, INTER_DIGIT_NS])), max_size=20))
def test_every_row_is_cut_from_the_left_by_the_longest_code(
    codes: dict[str, str], presses: list[tuple[str, int]]
) -> None:
    matcher, now, found, expected, row = CodeMatcher(codes), 0, [], [], ""
    times: list[int] = []
    for digit, gap in presses:
        now += gap
        if gap == INTER_DIGIT_NS:
            expected += model(codes, row)
            row = ""
        row += digit
        times.append(now)
        found += matcher.feed(digit, now)
    found += matcher.decide()
    assert [cut[:2] for cut in found] == expected + model(codes, row)
    at = 0
    for cut in found:
        at += cut.length
        assert cut.action is None or cut.at_ns == times[at - 1]
    assert at == len(presses)


@given(CODES, DIGITS)
def test_everything_is_decided_as_soon_as_no_digit_could_change_it(codes: dict[str, str], row: str) -> None:
    found = [cut[:2] for cut in flat(dial(CodeMatcher(codes), row, every_ns=1))]
    longest = max(map(len, codes.values()), default=0)
    after = ["".join(digits) for n in range(longest + 1) for digits in product("12*9", repeat=n)]
    cuts = zip(*(model(codes, row + digits)[: len(model(codes, row))] for digits in after), strict=False)
    assert found == [same.pop() for same in takewhile(lambda same: len(same) == 1, map(set, cuts))]


def test_held_digits_show_in_no_repr() -> None:
    matcher = CodeMatcher({"start": "987"})
    matcher.feed("9", 0)
    assert "9" not in repr(matcher).split(" at ")[0]
