"""What a load test found: values for the table, the JSON and the plots."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.plan import Plan
from mediaproxy.loadtest.traffic import Books

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Memory:
    """The proxy's resident bytes at monotonic nanoseconds."""

    at_ns: int
    resident: int


@dataclass(frozen=True, slots=True)
class Delays:
    """One-way delays in microseconds, and the second of the traffic in which each packet was sent."""

    at_s: NDArray[np.float64]
    us: NDArray[np.float64]

    @classmethod
    def of(cls, books: Books, start_ns: int) -> "Delays":
        there = books.arrived_ns > 0
        sent, arrived = books.sent_ns[there], books.arrived_ns[there]
        return cls((sent - start_ns) / 1e9, (arrived - sent) / 1e3)

    def percentiles(self) -> dict[str, float]:
        if self.us.size == 0:
            return {}
        return dict(zip(("p50", "p99", "max"), np.percentile(self.us, [50, 99, 100]).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Outcome:
    """`faults` are sentences; without any the run was good."""

    plan: Plan
    packets: Mapping[str, int]
    delays: Delays
    cpu_us_per_packet: float
    memory: list[Memory]
    toggles_ms: list[float]
    rows: int  # found right
    recordings: int  # found right
    recordings_expected: int
    generator_late_ms: float
    faults: list[str]

    @property
    def good(self) -> bool:
        return not self.faults

    def memory_mb(self) -> dict[str, float]:
        resident = [reading.resident / _MB for reading in self.memory]
        return {"idle": resident[0], "largest": max(resident)} if resident else {}

    def as_json(self) -> dict[str, Any]:
        toggles = np.percentile(self.toggles_ms, [50, 99, 100]).tolist() if self.toggles_ms else []
        return {
            "good": self.good,
            "plan": asdict(self.plan),
            "packets": dict(self.packets),
            "delay_us": self.delays.percentiles(),
            "cpu_us_per_packet": self.cpu_us_per_packet,
            "memory_mb": self.memory_mb(),
            "toggles": {
                "count": len(self.toggles_ms),
                "ms": dict(zip(("p50", "p99", "max"), toggles, strict=False)),
            },
            "log_rows": {"right": self.rows, "expected": self.plan.calls},
            "recordings": {"right": self.recordings, "expected": self.recordings_expected},
            "generator_late_ms": self.generator_late_ms,
            "faults": self.faults,
        }


def count_packets(books: Books) -> dict[str, int]:
    return {
        "sent": books.sent,
        "arrived": int(np.count_nonzero(books.arrived_ns)),
        "lost": books.lost,
        "altered": books.altered,
        "misdirected": books.misdirected,
        "duplicate": books.duplicate,
        "foreign": books.foreign,
    }


def packet_faults(books: Books) -> list[str]:
    """Every packet that did not arrive once, where it should, as it was sent; or was not even sent."""
    counted = count_packets(books)
    kinds = ("lost", "altered", "misdirected", "duplicate", "foreign")
    faults = [f"{counted[kind]} packets {kind}" for kind in kinds if counted[kind]]
    if not books.sound:
        faults.append(
            f"the generator itself failed: {books.unsent} packets not sent, "
            f"{books.sink_dropped} dropped at its own sockets"
        )
    return faults
