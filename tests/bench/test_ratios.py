"""What the innermost loops cost, against what nobody can do without, in the same run: a machine's speed
and its other work fall out of a ratio. The whole is measured by `scripts/bench`."""

from statistics import median

import pytest

from mediaproxy.calls.plane import Tap
from mediaproxy.native import library
from tests.bench.micro_plane import through_plane, without_plane

ROUNDS = 5
# Measured: 3.1 to 3.4, and 2.3 to 2.6 in C; without the plane a packet is sent once and taken off once.
MOST_IN_PYTHON, MOST_COMPILED = 4.0, 3.0

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("the very ports")]


async def cost(*, compiled: bool) -> float:
    """Of relaying and tapping a packet, in the cost of a packet that goes straight."""
    ratios = []
    for _ in range(ROUNDS):
        relayed_us = await through_plane(Tap.PAYLOAD, compiled=compiled)
        ratios.append(relayed_us / await without_plane())
    return median(ratios)


async def test_relaying_in_python_costs_no_more_than_it_did() -> None:
    assert await cost(compiled=False) < MOST_IN_PYTHON


@pytest.mark.skipif(library() is None, reason="not built (python -m mediaproxy.native)")
async def test_relaying_in_c_is_worth_it() -> None:
    assert await cost(compiled=True) < MOST_COMPILED
