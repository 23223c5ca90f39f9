"""Load tests that never ran: their plan, books and outcome, with plain values."""

from dataclasses import replace
from typing import Any

import numpy as np

from mediaproxy.loadtest.outcome import Delays, Memory, Outcome, count_packets, packet_faults
from mediaproxy.loadtest.plan import Plan, Record
from mediaproxy.loadtest.traffic import Books

PLAN = Plan(calls=2, cps=10.0, duration_s=1.0, record=Record.ALL, seed=1)
PACKETS = 50  # of each stream
_SECOND = 1_000_000_000


def books(**changes: Any) -> Books:
    """Two calls that talk for a second; every packet takes between 40 and 60 µs."""
    sent = _SECOND + np.arange(PACKETS, dtype=np.int64) * 20_000_000 + np.zeros((4, 1), dtype=np.int64)
    arrived = sent + np.random.default_rng(1).integers(40_000, 60_000, sent.shape)
    good = Books(
        sent_ns=sent, arrived_ns=arrived, unsent=0, foreign=0, altered=0, misdirected=0, duplicate=0,
        sink_dropped=0, generator_cpu_us=1.0, late_ms=0.5,
    )  # fmt: skip
    return replace(good, **changes)


def outcome(of: Books, faults: list[str]) -> Outcome:
    """With these books, and `faults` of rows and recordings."""
    return Outcome(
        plan=PLAN,
        packets=count_packets(of),
        delays=Delays.of(of, _SECOND),
        cpu_us_per_packet=30.0,
        memory=[Memory(0, 100_000_000), Memory(_SECOND, 120_000_000)],
        toggles_ms=[2.0, 4.0],
        rows=2,
        recordings=2,
        recordings_expected=2,
        generator_late_ms=of.late_ms,
        faults=packet_faults(of) + faults,
    )
