"""The report: one HTML file with the table and the plots, which needs nothing else."""

from html import escape
from pathlib import Path

import numpy as np

from mediaproxy.loadtest.outcome import Delays, Outcome
from mediaproxy.loadtest.svg import Curve, bar_chart, line_chart

_BINS = 60
_STEP_S = 0.1  # how finely delay is shown over time
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
    "padding:0 1rem}svg{width:100%;font-size:12px}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.2rem 1.5rem .2rem 0;vertical-align:top}"
)


def summary(outcome: Outcome) -> list[tuple[str, str]]:
    """What was measured, line by line, for people."""
    packets, delay, memory = outcome.packets, outcome.delays.percentiles(), outcome.memory_mb()
    found = [
        ("calls", f"{outcome.plan.calls} at {outcome.plan.cps:g} a second, {outcome.plan.duration_s:g} s"),
        ("packets sent", f"{packets['sent']:,}"),
        ("arrived", f"{packets['arrived']:,}"),
        ("lost", f"{packets['lost']:,}"),
        ("altered", f"{packets['altered']:,}"),
        ("log rows right", f"{outcome.rows} of {outcome.plan.calls}"),
        ("recordings right", f"{outcome.recordings} of {outcome.recordings_expected}"),
    ]
    if outcome.toggles_ms:
        p50, p99, most = np.percentile(outcome.toggles_ms, [50, 99, 100]).tolist()
        count = len(outcome.toggles_ms)
        found.append(
            (f"{count} toggles (seed {outcome.plan.seed})", f"{p50:.1f} / {p99:.1f} / {most:.1f} ms")
        )
    if delay:
        found.append(
            ("delay p50 / p99 / max", f"{delay['p50']:,.0f} / {delay['p99']:,.0f} / {delay['max']:,.0f} µs")
        )
    found.append(("CPU per packet", f"{outcome.cpu_us_per_packet:.1f} µs"))
    if memory:
        found.append(("memory idle / largest", f"{memory['idle']:.0f} / {memory['largest']:.0f} MB"))
    found.append(("generator late by at most", f"{outcome.generator_late_ms:.1f} ms"))
    return found


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
    plots = "".join([*_delay_plots(outcome.delays), _memory_plot(outcome)])
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mediaproxy loadtest</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>mediaproxy loadtest</h1><p>{verdict}</p><ul>{faults}</ul>"
        f"<table>{rows}</table>{plots}</html>\n"
    )


def _delay_plots(delays: Delays) -> list[str]:
    if delays.us.size == 0:
        return []
    heights, edges = np.histogram(delays.us, bins=_BINS, range=(0.0, float(delays.us.max())))
    return [
        bar_chart("One-way delay", "µs", "log₁₀ (1 + packets)", edges, np.log10(1.0 + heights)),
        line_chart("One-way delay over time", "s", "µs", delay_curves(delays)),
    ]


def delay_curves(delays: Delays) -> list[Curve]:
    """p50, p99 and the largest delay of each tenth of a second in which something was sent."""
    step = (delays.at_s / _STEP_S).astype(np.int64)
    order = np.argsort(step, kind="stable")
    steps, first = np.unique(step[order], return_index=True)
    found = np.array([np.percentile(part, [50, 99, 100]) for part in np.split(delays.us[order], first[1:])])
    x = np.asarray(steps * _STEP_S, dtype=np.float64)
    return [Curve(name, x, found[:, at]) for at, name in enumerate(("p50", "p99", "max"))]


def _memory_plot(outcome: Outcome) -> str:
    readings = outcome.memory
    if not readings:
        return ""
    x = np.array([(reading.at_ns - readings[0].at_ns) / 1e9 for reading in readings])
    y = np.array([reading.resident / 1e6 for reading in readings])
    return line_chart("Resident memory of the proxy", "s", "MB", [Curve("RSS", x, y)])
