"""The report: one HTML file with the table and the plots, which needs nothing else."""

from html import escape
from pathlib import Path

import numpy as np

from mediaproxy.loadtest.delays import EDGES_US, Delays, percentile
from mediaproxy.loadtest.outcome import Outcome, percentiles
from mediaproxy.loadtest.svg import Curve, bar_chart, line_chart

_BINS = 60
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
    "padding:0 1rem}svg{width:100%;font-size:12px}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.2rem 1.5rem .2rem 0;vertical-align:top}"
)


def summary(outcome: Outcome) -> list[tuple[str, str]]:
    """What was measured, line by line, for people."""
    counts, delay, memory = outcome.counts, outcome.delay_us(), outcome.memory_mb()
    plan, audit = outcome.plan, outcome.audit
    found = [
        ("calls", f"{outcome.calls} of {plan.calls} at {plan.cps:g} a second, {plan.duration_s:g} s each"),
        ("at the same time", f"{outcome.most_calls}"),
        ("packets sent", f"{counts.sent:,}"),
        ("arrived", f"{counts.arrived:,}"),
        ("lost", f"{counts.lost:,}"),
        ("altered", f"{counts.altered:,}"),
        ("log rows right", f"{audit.rows} of {outcome.calls}"),
        ("recordings right", f"{audit.recordings} of {audit.expected}"),
    ]
    if outcome.toggles_ms:
        name = f"{len(outcome.toggles_ms)} toggles (seed {plan.seed}) p50 / p99 / max"
        found.append((name, _three(outcome.toggles_ms)))
    if outcome.setups_ms:
        found.append(("set-up p50 / p99 / max", _three(outcome.setups_ms)))
    if delay:
        found.append(
            ("delay p50 / p99 / p99.9 / max", " / ".join(f"{us:,.0f}" for us in delay.values()) + " µs")
        )
    found.append(("CPU per packet", f"{outcome.cpu_us_per_packet:.1f} µs"))
    if memory:
        found.append(("memory idle / largest", f"{memory['idle']:.0f} / {memory['largest']:.0f} MB"))
        found.append(("memory per call", f"{outcome.memory_kb_per_call:.0f} KB"))
    figures = outcome.figures
    own, both = figures.own_us_per_packet, figures.cpu_us_per_packet
    found.append(("the generator's CPU per packet", f"{own:.1f} µs, with the kernel's {both:.1f}"))
    found.append(("its worst lateness", f"{figures.late_ms:.1f} ms"))
    return found


def _three(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in percentiles(values).values()) + " ms"


def write_report(outcome: Outcome, directory: Path) -> Path:
    """Write `loadtest.html` into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "loadtest.html"
    file.write_text(_page(outcome), encoding="utf-8")
    return file


def _page(outcome: Outcome) -> str:
    verdict = "Nothing lost, every sample right." if outcome.good else f"{len(outcome.faults)} faults."
    rows = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in summary(outcome)
    )
    faults = "".join(f"<li>{escape(fault)}</li>" for fault in outcome.faults)
    plots = "".join([*_delay_plots(outcome), _memory_plot(outcome)])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mediaproxy loadtest</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>mediaproxy loadtest</h1><p>{verdict}</p><ul>{faults}</ul>"
        f"<table>{rows}</table>{plots}</html>\n"
    )


def _delay_plots(outcome: Outcome) -> list[str]:
    delays = outcome.delays
    counts = delays.counts.sum(axis=0)
    if not counts.any():
        return []
    most = int(np.flatnonzero(counts)[-1]) + 1
    edges = np.linspace(0.0, EDGES_US[most], _BINS + 1)
    heights, _ = np.histogram(EDGES_US[:most], edges, weights=counts[:most])
    return [
        bar_chart("One-way delay", "µs", "log₁₀ (1 + packets)", edges, np.log10(1.0 + heights)),
        line_chart("One-way delay over time", "s", "µs", delay_curves(delays)),
    ]


def delay_curves(delays: Delays) -> list[Curve]:
    """p50, p99 and the largest delay of each step in which something was sent."""
    steps = np.flatnonzero(delays.counts.sum(axis=1))
    y = np.array(
        [
            [percentile(delays.counts[step], percent, delays.largest_us[step]) for percent in (50, 99, 100)]
            for step in steps
        ]
    )
    x = np.asarray(steps * delays.step_s, dtype=np.float64)
    return [Curve(name, x, y[:, at]) for at, name in enumerate(("p50", "p99", "max"))]


def _memory_plot(outcome: Outcome) -> str:
    samples = outcome.samples
    if not samples:
        return ""
    x = np.array([(sample.at_ns - samples[0].at_ns) / 1e9 for sample in samples])
    y = np.array([sample.resident / 1e6 for sample in samples])
    return line_chart("Resident memory of the proxy", "s", "MB", [Curve("RSS", x, y)])
