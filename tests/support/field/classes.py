"""A class of conditions, tried on many calls."""

import random

from tests.support.field.calls import any_call, record
from tests.support.field.conditions import Conditions
from tests.support.field.judging import Truth, judge

GROUP = 8  # calls that share a loop


def run(conditions: Conditions, calls: int, seconds: int, *, seed: int, fast: bool = True) -> Truth:
    truth = Truth()
    for first in range(0, calls, GROUP):
        rng = random.Random(f"{seed} {first}")
        group = [any_call(rng, n, conditions, seconds) for n in range(min(GROUP, calls - first))]
        for call in record(group, rng, conditions, fast=fast):
            truth.add(judge(call))
    return truth
