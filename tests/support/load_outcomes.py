"""Load tests that never ran: their plan, books and outcome, with plain values."""

from dataclasses import replace
from typing import Any

import numpy as np

from mediaproxy.loadtest.audit import Audit
from mediaproxy.loadtest.delays import Delays
from mediaproxy.loadtest.ledger import Counts
from mediaproxy.loadtest.outcome import Outcome, Sample, packet_faults
from mediaproxy.loadtest.plan import Plan, Record
from mediaproxy.loadtest.source import Figures

PLAN = Plan(calls=2, cps=10.0, duration_s=1.0, record=Record.ALL, seed=1)
PACKETS = 50  # of each stream
FIGURES = Figures(sent=200, unsent=0, dropped=0, late_ms=0.5, own_s=0.0002, kernel_s=0.0002)
_SECOND = 1_000_000_000


def counts(**changes: int) -> Counts:
    """Two calls that talked for a second."""
    return replace(Counts(sent=4 * PACKETS, arrived=4 * PACKETS), **changes)


def delays(**late_us: float) -> Delays:
    """Every packet takes between 40 and 60 µs; those of `packet_N` longer."""
    found = Delays(0.1, 2.0)
    for stream in range(4):
        took = np.random.default_rng(stream).uniform(40, 60, PACKETS)
        for name, more in late_us.items():
            took[int(name.removeprefix("packet_"))] += more
        found.add(np.arange(PACKETS) * 0.02 + 0.001, took)
    return found


def outcome(of: Counts, faults: list[str], **changes: Any) -> Outcome:
    """With these counts, and `faults` of rows and recordings."""
    figures = changes.pop("figures", FIGURES)
    good = Outcome(
        plan=PLAN,
        start_ns=0,
        counts=of,
        figures=figures,
        delays=delays() if of.arrived else Delays(0.1, 2.0),
        lost_by_step=np.zeros(21, dtype=np.int64),
        samples=[
            Sample(0, 0, 100_000_000, 1.0, 0),
            Sample(_SECOND, 2, 120_000_000, 1.006, 200),
        ],
        setups_ms=[10.0, 12.0],
        toggles_ms=[2.0, 4.0],
        audit=Audit(2, 2, 2, 2, faults),
        faults=packet_faults(of, figures) + faults,
    )
    return replace(good, **changes)
