"""What a run found: plain values that become the table, the JSON and the report."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import median

from tests.bench.relay import Round


@dataclass(frozen=True, slots=True)
class Bar:
    """A demand and what was measured against it."""

    demand: str
    measured: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Micro:
    """One operation alone. `yardsticks` relates it to a fixed piece of work done in the same run."""

    name: str
    microseconds: float
    yardsticks: float
    note: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds at a moment, or at most."""

    resident_bytes: int
    descriptors: int
    threads: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Memory:
    """What calls that talk and are recorded hold beyond an idle process."""

    calls: int
    idle: Held
    loaded: Held
    files: int  # verified, of `calls`

    @property
    def kb_per_call(self) -> float:
        return (self.loaded.resident_bytes - self.idle.resident_bytes) / self.calls / 1000

    @property
    def descriptors_per_call(self) -> float:
        return (self.loaded.descriptors - self.idle.descriptors) / self.calls


@dataclass(frozen=True, slots=True)
class Toggles:
    """Toggles by API while all calls talk and record: milliseconds from request to reply."""

    calls: int
    toggles: int
    p50_ms: float
    p99_ms: float
    largest_ms: float
    lost: int
    workers: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """What recording costs in all: CPU of a core in percent, and where it went; KB of one more call, the
    recorder's alone and the spool's with it."""

    calls: int
    place: float
    take: float
    hand_out: float
    flush: float
    threads: float
    recorder_kb: float
    with_spool_kb: float

    @property
    def core_percent(self) -> float:
        return self.place + self.take + self.hand_out + self.flush + self.threads


@dataclass(frozen=True, slots=True)
class Masters:
    """A stereo hour: CPU seconds to a FLAC that was decoded again; how many times real time verifying is."""

    seconds: int
    flac_cpu_s: float
    verify_wav: float
    verify_flac: float


@dataclass(slots=True)
class Results:
    about: Mapping[str, str]
    settings: Mapping[str, object]
    rounds: list[Round] = field(default_factory=list)
    memory: list[Memory] = field(default_factory=list)
    toggles: list[Toggles] = field(default_factory=list)
    micro: list[Micro] = field(default_factory=list)
    signalling_us: float | None = None
    recording: Recording | None = None
    masters: Masters | None = None
    bars: list[Bar] = field(default_factory=list)

    def of(self, proxy: str) -> list[Round]:
        return [round_ for round_ in self.rounds if round_.proxy == proxy]

    def medians(self) -> dict[str, float]:
        """CPU per relayed packet of each proxy, in microseconds."""
        proxies = dict.fromkeys(round_.proxy for round_ in self.rounds)
        return {proxy: median(round_.cpu_us_per_packet for round_ in self.of(proxy)) for proxy in proxies}

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "medians_us": self.medians(), "passed": all(bar.passed for bar in self.bars)}
