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
    """Toggles by API while all calls talk and record: milliseconds from request to reply, and to the position
    on the call clock that the reply names."""

    calls: int
    toggles: int
    p50_ms: float
    p99_ms: float
    largest_ms: float
    lost: int
    p99_effect_ms: float
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

    def levels(self) -> list[int]:
        """With how many calls rounds were run."""
        return sorted({round_.calls for round_ in self.rounds})

    def of(self, proxy: str, calls: int) -> list[Round]:
        return [round_ for round_ in self.rounds if (round_.proxy, round_.calls) == (proxy, calls)]

    def medians(self, calls: int) -> dict[str, float]:
        """CPU per relayed packet of each proxy at so many calls, in microseconds."""
        proxies = dict.fromkeys(round_.proxy for round_ in self.rounds if round_.calls == calls)
        return {
            proxy: median(round_.cpu_us_per_packet for round_ in self.of(proxy, calls)) for proxy in proxies
        }

    def median_delays(self, proxy: str, calls: int) -> list[float]:
        """p50, p99, p99.9 and the largest, in microseconds: of each the median of the rounds."""
        delays = zip(*(round_.delay_us for round_ in self.of(proxy, calls)), strict=True)
        return [median(each) for each in delays]

    def as_json(self) -> dict[str, object]:
        medians = {calls: self.medians(calls) for calls in self.levels()}
        return {**asdict(self), "medians_us": medians, "passed": all(bar.passed for bar in self.bars)}
