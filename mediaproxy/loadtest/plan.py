"""What a load test is asked to do, what it tells while it works, and how it ends early."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from mediaproxy.errors import MediaproxyError

MAX_CALLS = 500
MAX_DURATION_S = 75.0  # the speech of a stream must not repeat itself
MAX_SETUP_S = 30.0  # calls that are up first wait in silence until all are

Tell = Callable[[str, int, int], None]  # what is going on, how much of how much


class Record(StrEnum):
    """Which calls are recorded; `random`: by API, on and off at random instants."""

    ALL = "all"
    NONE = "none"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` calls at `cps` a second, each of which talks for `duration_s`; `seed` is for the toggles."""

    calls: int
    cps: float
    duration_s: float
    record: Record
    seed: int


class Broken(MediaproxyError):
    """The load test could not be carried through, and why: a finding, like a lost packet."""
