"""The search for the limit comes close to it from any start, and ends."""

import pytest

from mediaproxy.loadtest.limit import BOUNDS, Search, find_limit, level
from mediaproxy.loadtest.outcome import Outcome
from mediaproxy.loadtest.plan import Bounds, Plan, Record
from tests.support.load_outcomes import counts, outcome

PLAN = Plan(calls=100, cps=50.0, duration_s=10.0, record=Record.ALL, seed=1)


@pytest.mark.parametrize("first", [1, 10, 100, 2_000])
@pytest.mark.parametrize("limit", [1, 7, 640, 3_000])
def test_any_limit_is_found_to_ten_percent(first: int, limit: int) -> None:
    search = Search(first)
    for _ in range(40):
        calls = search.next()
        if calls is None:
            break
        search.learn(calls, held=calls <= limit)
    else:
        pytest.fail("it never ends")
    assert search.good <= limit <= max(search.good * 1.1, search.good + 1)


def test_nothing_holds_at_all() -> None:
    search = Search(4)
    tried = []
    while (calls := search.next()) is not None:
        tried.append(calls)
        search.learn(calls, held=False)
    assert tried == [4, 2, 1]
    assert search.good == 0


def test_a_level_is_full_for_the_duration_and_has_bounds() -> None:
    full = level(PLAN, 500)
    assert (full.calls, full.duration_s, full.bounds) == (500, 20.0, BOUNDS)
    own = level(Plan(1, 1.0, 1.0, Record.ALL, 1, bounds=Bounds(delay_ms=5)), 3)
    assert own.bounds == Bounds(delay_ms=5)


async def test_an_interruption_ends_the_search() -> None:
    async def attempt(plan: Plan) -> Outcome:
        return outcome(counts(), [], plan=plan, interrupted=plan.calls > 100)

    limit = await find_limit(PLAN, attempt)
    assert (limit.calls, limit.interrupted, len(limit.levels)) == (100, True, 2)
