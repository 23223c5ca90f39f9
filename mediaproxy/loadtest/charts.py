"""The plots of a load test, as values: what is drawn, before anything is drawn."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaproxy.loadtest.delays import EDGES_US, Delays, percentile
from mediaproxy.loadtest.outcome import Outcome, Sample, percentiles

COLOURS = ("#2a6fdb", "#d9822b", "#c23b3b", "#3b8f5a")
_BARS = 60
_LEVELS = 12  # into so many numbers of calls a run is divided
_LEAST_PACKETS = 1_000  # from fewer nothing is told of CPU

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    x: Numbers
    y: Numbers


@dataclass(frozen=True, slots=True)
class Bars:
    """Bar i stands from edges[i] to edges[i + 1]."""

    edges: Numbers
    heights: Numbers


@dataclass(frozen=True, slots=True)
class Chart:
    """`name` is a file's. Either `curves`, or `bars`."""

    name: str
    title: str
    x_label: str
    y_label: str
    curves: Sequence[Curve] = ()
    bars: Bars | None = None


def charts(outcome: Outcome) -> list[Chart]:
    """Those of one load; none of what was not measured."""
    found = []
    if outcome.delays.total:
        found += [_histogram(outcome.delays), _over_time(outcome.delays)]
    if outcome.sees_processes:
        found += [_memory_over_time(outcome), *_against_calls(outcome)]
    if outcome.delays.total:
        found += _loss_against_calls(outcome)
    return found


def level_charts(levels: Sequence[Outcome]) -> list[Chart]:
    """Those of the levels of a search for the limit, against calls."""
    levels = sorted((level for level in levels if level.calls), key=lambda level: level.most_calls)
    if not levels:
        return []
    calls = np.array([level.most_calls for level in levels], dtype=np.float64)

    def chart(name: str, title: str, unit: str, curves: dict[str, list[float]]) -> Chart:
        drawn = [Curve(of, calls, np.array(y, dtype=np.float64)) for of, y in curves.items()]
        return Chart(name, title, "calls at the same time", unit, drawn)

    delays, setups = (
        [level.delay_us() for level in levels],
        [percentiles(level.setups_ms) for level in levels],
    )
    found = [
        chart(
            "level-delay", "One-way delay", "ms",
            {name: [of.get(name, 0.0) / 1000 for of in delays] for name in ("p50", "p99", "p99_9")},
        ),
        chart(
            "level-setup", "Set-up time", "ms",
            {name: [of.get(name, 0.0) for of in setups] for name in ("p50", "p99")},
        ),
        chart("level-loss", "Loss", "packets", {"lost": [float(level.counts.lost) for level in levels]}),
    ]  # fmt: skip
    if all(level.sees_processes for level in levels):
        found += [
            chart(
                "level-cpu", "CPU per packet", "µs", {"CPU": [level.cpu_us_per_packet for level in levels]}
            ),
            chart(
                "level-memory", "Memory", "MB", {"RSS": [level.memory_mb()["largest"] for level in levels]}
            ),
        ]
    return found


def delay_curves(delays: Delays) -> list[Curve]:
    """p50, p99, p99.9 and the largest delay, in µs, of each step in which something was sent."""
    steps = np.flatnonzero(delays.counts.sum(axis=1))
    percents = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}
    y = np.array(
        [
            [
                percentile(delays.counts[step], percent, delays.largest_us[step])
                for percent in percents.values()
            ]
            for step in steps
        ]
    )
    x = np.asarray(steps * delays.step_s, dtype=np.float64)
    return [Curve(name, x, y[:, at]) for at, name in enumerate(percents)]


def _histogram(delays: Delays) -> Chart:
    counts = delays.counts.sum(axis=0)
    most = int(np.flatnonzero(counts)[-1]) + 1
    edges = np.linspace(0.0, EDGES_US[most], _BARS + 1)
    heights, _ = np.histogram(EDGES_US[:most], edges, weights=counts[:most])
    bars = Bars(edges, np.log10(1.0 + heights))
    return Chart("delay-histogram", "One-way delay", "µs", "log₁₀ (1 + packets)", bars=bars)


def _over_time(delays: Delays) -> Chart:
    return Chart("delay-over-time", "One-way delay over time", "s", "µs", delay_curves(delays))


def _memory_over_time(outcome: Outcome) -> Chart:
    x = _seconds(outcome, outcome.samples)
    y = np.array([sample.resident / 1e6 for sample in outcome.samples])
    return Chart("memory-over-time", "Resident memory of the proxy", "s", "MB", [Curve("RSS", x, y)])


def _against_calls(outcome: Outcome) -> list[Chart]:
    samples = outcome.samples
    calls = np.array([sample.calls for sample in samples], dtype=np.float64)
    cpu_s = np.diff([sample.cpu_s for sample in samples])
    arrived = np.diff([sample.arrived for sample in samples])
    level = _levels(calls, outcome.most_calls)
    x, y = [], []
    for at in range(_LEVELS):
        of = level[1:] == at
        if arrived[of].sum() >= _LEAST_PACKETS:
            x.append(float(calls[1:][of].mean()))
            y.append(float(cpu_s[of].sum() * 1e6 / arrived[of].sum()))
    cpu = Curve("CPU", np.array(x), np.array(y))
    present = [at for at in range(_LEVELS) if (level == at).any()]
    resident = np.array([sample.resident / 1e6 for sample in samples])
    memory = Curve(
        "RSS",
        np.array([calls[level == at].mean() for at in present]),
        np.array([resident[level == at].mean() for at in present]),
    )
    found = [Chart("memory-against-calls", "Memory against calls", "calls", "MB", [memory])]
    if x:
        found.append(Chart("cpu-against-calls", "CPU per packet against calls", "calls", "µs", [cpu]))
    return found


def _loss_against_calls(outcome: Outcome) -> list[Chart]:
    samples, delays = outcome.samples, outcome.delays
    if len(samples) < 2:
        return []
    at_s = np.arange(len(delays.counts)) * delays.step_s
    calls = np.interp(at_s, _seconds(outcome, samples), [sample.calls for sample in samples])
    level = _levels(calls, outcome.most_calls)
    sent = delays.counts.sum(axis=1) + outcome.lost_by_step
    present = [at for at in range(_LEVELS) if sent[level == at].any()]
    x = np.array([np.average(calls[level == at], weights=sent[level == at]) for at in present])
    y = np.array(
        [100.0 * outcome.lost_by_step[level == at].sum() / sent[level == at].sum() for at in present]
    )
    return [Chart("loss-against-calls", "Loss against calls", "calls", "%", [Curve("lost", x, y)])]


def _levels(calls: Numbers, most: int) -> NDArray[np.int64]:
    return np.minimum((calls * _LEVELS / max(most, 1)).astype(np.int64), _LEVELS - 1)


def _seconds(outcome: Outcome, samples: Sequence[Sample]) -> Numbers:
    return np.array([(sample.at_ns - outcome.start_ns) / 1e9 for sample in samples])
