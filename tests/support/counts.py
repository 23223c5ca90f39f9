"""How often, how long: short by default, the whole count with `scripts/test --full`."""

import os
from typing import TypeVar

FULL = os.environ.get("MEDIAPROXY_FULL") == "1"

T = TypeVar("T")


def count(short: T, *, full: T) -> T:
    """The figure for this run of the tests."""
    return full if FULL else short
