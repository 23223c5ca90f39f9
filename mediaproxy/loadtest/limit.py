"""Finds how many calls a proxy carries: more and more, until a bound breaks, then closer and closer.

Every level is a load of its own that is checked like any other.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from mediaproxy.loadtest.outcome import Outcome
from mediaproxy.loadtest.plan import MAX_CALLS, Bounds, Plan

BOUNDS = Bounds(delay_ms=20.0, setup_ms=500.0)
_GROWTH = 1.5
_CLOSE = 0.1  # how far apart the last good and the first bad level may stay
_MOST_LEVELS = 16


@dataclass(slots=True)
class Search:
    """Pure: which level comes next. `good` and `bad` are numbers of calls; 0 = none yet."""

    first: int
    good: int = 0
    bad: int = 0

    def next(self) -> int | None:
        if self.bad == 0:
            wanted = self.first if self.good == 0 else round(self.good * _GROWTH + 0.5)
            return wanted if wanted <= MAX_CALLS else None
        if self.good == 0:
            return self.bad // 2 or None
        if self.bad - self.good <= max(1, _CLOSE * self.good):
            return None
        return (self.good + self.bad) // 2

    def learn(self, calls: int, *, held: bool) -> None:
        if held:
            self.good = max(self.good, calls)
        else:
            self.bad = min(self.bad or calls, calls)


@dataclass(slots=True)
class Limit:
    """Every level that was tried, in order; `calls` is the highest that held, 0 = none."""

    levels: list[Outcome]
    calls: int
    interrupted: bool = False


def level(plan: Plan, calls: int) -> Plan:
    """All of `calls` are up at the same time, and talk so for the plan's duration."""
    bounds = plan.bounds if plan.bounds != Bounds() else BOUNDS
    return replace(plan, calls=calls, duration_s=calls / plan.cps + plan.duration_s, bounds=bounds)


async def find_limit(plan: Plan, attempt: Callable[[Plan], Awaitable[Outcome]]) -> Limit:
    """`attempt` carries one level through; its plan tells how many calls."""
    search, levels = Search(plan.calls), list[Outcome]()
    while (calls := search.next()) is not None and len(levels) < _MOST_LEVELS:
        outcome = await attempt(level(plan, calls))
        levels.append(outcome)
        if outcome.interrupted:
            return Limit(levels, search.good, interrupted=True)
        search.learn(calls, held=outcome.good)
    return Limit(levels, search.good)
