"""What a load test found: values for the table, the JSON and the plots."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.audit import Audit
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.ledger import Counts
from mediaproxy.loadtest.machine import machine
from mediaproxy.loadtest.plan import Bounds, Plan
from mediaproxy.loadtest.source import Figures

_MB = 1_000_000
_PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99_9": 99.9, "max": 100.0}


@dataclass(frozen=True, slots=True)
class Sample:
    """How the proxy was at a monotonic nanosecond; CPU time and arrivals since the beginning."""

    at_ns: int
    calls: int  # that were up
    resident: int  # bytes
    cpu_s: float
    arrived: int
    files: int = 0  # open, of all its processes
    threads: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """`faults` are sentences; without any the run was good. Delays begin at `start_ns`."""

    plan: Plan
    start_ns: int
    counts: Counts
    figures: Figures
    delays: Delays
    lost_by_step: NDArray[np.int64]
    samples: list[Sample]
    setups_ms: list[float]
    toggles_ms: list[float]
    audit: Audit
    faults: list[str]
    unmeasured: Sequence[str] = ()  # what could not be, and what would help
    command: str = ""
    interrupted: bool = False
    flooded: int = 0  # packets that a stranger sent

    @property
    def good(self) -> bool:
        return not self.faults and not self.interrupted

    @property
    def calls(self) -> int:
        """That were set up."""
        return len(self.setups_ms)

    def delay_us(self) -> dict[str, float]:
        found = self.delays.percentiles(list(_PERCENTILES.values()))
        return dict(zip(_PERCENTILES, found, strict=False))

    @property
    def cpu_us_per_packet(self) -> float:
        """Of the proxy with all that it does, from the first call's beginning to the last one's end."""
        if not self.sees_processes:
            return 0.0
        return (self.samples[-1].cpu_s - self.samples[0].cpu_s) * 1e6 / max(self.counts.arrived, 1)

    @property
    def sees_processes(self) -> bool:
        """Whether the proxy's CPU and memory could be looked at."""
        return bool(self.samples) and self.samples[0].resident > 0

    @property
    def most_calls(self) -> int:
        return max((sample.calls for sample in self.samples), default=0)

    def memory_mb(self) -> dict[str, float]:
        if not self.sees_processes:
            return {}
        resident = [sample.resident / _MB for sample in self.samples]
        return {"idle": resident[0], "largest": max(resident), "last": resident[-1]}

    @property
    def memory_kb_per_call(self) -> float:
        """What the most calls at once took beyond the idle proxy."""
        if self.most_calls == 0:
            return 0.0
        fullest = max(self.samples, key=lambda sample: sample.calls)
        return (fullest.resident - self.samples[0].resident) / 1000 / fullest.calls

    def as_json(self) -> dict[str, Any]:
        return {
            "good": self.good,
            "interrupted": self.interrupted,
            "command": self.command,
            "machine": machine(),
            "plan": asdict(self.plan),
            "unmeasured": list(self.unmeasured),
            "calls": {"set_up": self.calls, "at_once": self.most_calls},
            "packets": asdict(self.counts),
            "flooded": self.flooded,
            "delay_us": self.delay_us(),
            "setup_ms": percentiles(self.setups_ms),
            "cpu_us_per_packet": self.cpu_us_per_packet,
            "memory_mb": self.memory_mb(),
            "memory_kb_per_call": self.memory_kb_per_call,
            "toggles": {"count": len(self.toggles_ms), "ms": percentiles(self.toggles_ms)},
            "log_rows": {"right": self.audit.rows, "expected": self.calls},
            "recordings": {"right": self.audit.recordings, "expected": self.audit.expected},
            "generator": {
                "late_ms": self.figures.late_ms,
                "own_us_per_packet": self.figures.own_us_per_packet,
                "cpu_us_per_packet": self.figures.cpu_us_per_packet,
            },
            "faults": self.faults,
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """p50, p99 and the largest; nothing of nothing."""
    if not values:
        return {}
    return dict(zip(("p50", "p99", "max"), np.percentile(values, [50, 99, 100]).tolist(), strict=True))


def bound_faults(
    bounds: Bounds, delays: Delays, setups_ms: list[float], toggles_ms: list[float]
) -> list[str]:
    """Which bounds were broken."""
    delay_us = delays.percentiles([99])
    found = {
        "delay": (delay_us[0] / 1000 if delay_us else 0.0, bounds.delay_ms),
        "set-up time": (percentiles(setups_ms).get("p99", 0.0), bounds.setup_ms),
        "time of a toggle": (percentiles(toggles_ms).get("p99", 0.0), bounds.toggle_ms),
    }
    return [
        f"the p99 of the {name} is {is_ms:.1f} ms, its bound {most_ms:g} ms"
        for name, (is_ms, most_ms) in found.items()
        if most_ms and is_ms > most_ms
    ]


def packet_faults(counts: Counts, figures: Figures) -> list[str]:
    """Every packet that did not arrive once, where it should, as it was sent; or was not even sent."""
    lost = max(counts.lost - figures.dropped - figures.unsent, 0)
    kinds = {
        "lost": lost,
        "altered": counts.altered,
        "misdirected": counts.misdirected,
        "duplicate": counts.duplicate,
        "foreign": counts.foreign,
        "of digits reached the other party": counts.digits_heard,
    }
    faults = [f"{count} packets {kind}" for kind, count in kinds.items() if count]
    if figures.unsent or figures.dropped:
        faults.append(
            f"the generator itself failed: {figures.unsent} packets not sent, "
            f"{figures.dropped} dropped at its own sockets"
        )
    return faults
