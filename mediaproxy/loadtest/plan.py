"""What a load test is asked to do, what it tells while it works, and how it ends early."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from mediaproxy.errors import MediaproxyError
from mediaproxy.loadtest.codecs import Codec
from mediaproxy.loadtest.network import Network
from mediaproxy.loadtest.wire import PTIME_NS

MAX_CALLS = 100_000
MAX_WORKERS = 64
MAX_DURATION_S = 7200.0
MAX_CPS = 500.0
MAX_FLOOD = 200_000  # packets a second
MIN_HOLD_S = 4.0  # of a call that is held meanwhile
MIN_DTMF_S = 3.0  # and of one whose agent dials

Tell = Callable[[str, int, int], None]  # what is going on, how much of how much


class Record(StrEnum):
    """Which calls are recorded; `random`: by API, on and off at random instants."""

    ALL = "all"
    NONE = "none"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What must not be exceeded, all of them p99 and in milliseconds; 0 = no bound."""

    delay_ms: float = 0.0
    setup_ms: float = 0.0
    toggle_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`calls` calls, `cps` of which begin each second; each talks for `duration_s`.

    With `dtmf` every second agent toggles by dialling; with `hold` the others hold their call once.
    `seed` repeats the toggles. A stranger sends `flood` packets a second to one call's port. Of a proxy of
    our own: `workers` media processes, 0 = none.
    """

    calls: int
    cps: float
    duration_s: float
    record: Record
    seed: int
    network: Network = field(default_factory=Network)
    codec: Codec = Codec.PCMU
    dtmf: bool = False
    hold: bool = False
    toggle_every_s: float = 4.0
    workers: int = 0
    soak: bool = False  # check beside the load, and look at what grows
    flood: int = 0
    bounds: Bounds = field(default_factory=Bounds)

    @property
    def packets(self) -> int:
        """Of each stream."""
        return round(self.duration_s * 1_000_000_000) // PTIME_NS

    def dials(self, call: int) -> bool:
        return self.dtmf and call % 2 == 1

    def holds(self, call: int) -> bool:
        return self.hold and call % 2 == 0

    @property
    def at_once(self) -> int:
        """About how many calls live at the same time at most."""
        return min(self.calls, round(self.cps * self.duration_s + 1))

    @property
    def seconds(self) -> float:
        """From the first call's beginning to the last one's end, when all goes well."""
        return (self.calls - 1) / self.cps + self.duration_s


class Broken(MediaproxyError):
    """The load test could not be carried through, and why: a finding, like a lost packet."""
