"""The report: one HTML file with the table and the plots, which needs nothing else; and the plots as PNG."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from mediaproxy.loadtest import png
from mediaproxy.loadtest.charts import Chart, charts, level_charts
from mediaproxy.loadtest.limit import Limit
from mediaproxy.loadtest.machine import machine
from mediaproxy.loadtest.outcome import Outcome, percentiles
from mediaproxy.loadtest.svg import draw

_FAULTS = 200  # that are shown
_STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;"
    "padding:0 1rem}svg{width:100%;font-size:12px}table{border-collapse:collapse}"
    "td,th{text-align:left;padding:.2rem 1.5rem .2rem 0;vertical-align:top}code{overflow-wrap:anywhere}"
)

Table = list[tuple[str, str]]


def summary(outcome: Outcome) -> Table:
    """What was measured, line by line, for people."""
    counts, delay, memory = outcome.counts, outcome.delay_us(), outcome.memory_mb()
    plan, audit, figures = outcome.plan, outcome.audit, outcome.figures
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
    if outcome.flooded:
        found.append(("a stranger's packets", f"{outcome.flooded:,} at {plan.flood:,} a second"))
    if counts.withheld:
        found.append(("packets of dialled codes withheld", f"{counts.withheld - counts.digits_heard:,}"))
    if outcome.toggles_ms:
        name = f"{len(outcome.toggles_ms)} toggles (seed {plan.seed}) p50 / p99 / max"
        found.append((name, _three(outcome.toggles_ms)))
    if outcome.setups_ms:
        found.append(("set-up p50 / p99 / max", _three(outcome.setups_ms)))
    if delay:
        four = " / ".join(f"{us:,.0f}" for us in delay.values())
        found.append(("delay p50 / p99 / p99.9 / max", f"{four} µs"))
    if memory:
        found += [
            ("CPU per packet", f"{outcome.cpu_us_per_packet:.1f} µs, with signalling and recording"),
            ("memory idle / largest", f"{memory['idle']:.0f} / {memory['largest']:.0f} MB"),
            ("memory per call", f"{outcome.memory_kb_per_call:.0f} KB"),
        ]
    own, both = figures.own_us_per_packet, figures.cpu_us_per_packet
    found += [
        ("the generator's CPU per packet", f"{own:.1f} µs, with the kernel's {both:.1f}"),
        ("its worst lateness", f"{figures.late_ms:.1f} ms"),
    ]
    return found + [("not measured", what) for what in outcome.unmeasured]


def limit_summary(limit: Limit) -> Table:
    """A line for each level, by calls."""
    found = []
    for level in sorted(limit.levels, key=lambda level: level.plan.calls):
        delay, setup = level.delay_us(), percentiles(level.setups_ms)
        held = "held" if level.good else f"broke: {level.faults[0]}" if level.faults else "interrupted"
        figures = (
            f"delay p99 {delay.get('p99', 0) / 1000:.1f} ms, set-up p99 {setup.get('p99', 0):.0f} ms, "
            f"lost {level.counts.lost:,}"
        )
        found.append((f"{level.plan.calls} calls", f"{figures}: {held}"))
    return [*found, ("the most calls that held", f"{limit.calls}")]


def limit_json(limit: Limit) -> dict[str, Any]:
    return {
        "limit": limit.calls,
        "interrupted": limit.interrupted,
        "levels": [level.as_json() for level in limit.levels],
    }


def write_report(outcome: Outcome, directory: Path) -> Path:
    """Write `loadtest.html`, `loadtest.json` and the PNG files into `directory`."""
    verdict = "Nothing lost, every sample right." if outcome.good else f"{len(outcome.faults)} faults."
    if outcome.interrupted:
        verdict = f"Interrupted. {verdict}" if outcome.faults else "Interrupted; nothing wrong until then."
    drawn = charts(outcome)
    page = _page("mediaproxy loadtest", verdict, outcome.command, outcome.faults, summary(outcome), drawn)
    return _write(directory, page, outcome.as_json(), drawn)


def write_limit_report(limit: Limit, command: str, directory: Path) -> Path:
    """The same for a search for the limit."""
    verdict = f"The most calls that held: {limit.calls}."
    drawn = level_charts(limit.levels)
    best = [level for level in limit.levels if level.good and level.plan.calls == limit.calls]
    drawn += [chart for level in best[:1] for chart in charts(level)]
    page = _page("mediaproxy loadtest --find-limit", verdict, command, [], limit_summary(limit), drawn)
    return _write(directory, page, limit_json(limit), drawn)


def _write(directory: Path, page: str, figures: dict[str, Any], drawn: Sequence[Chart]) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "loadtest.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if png.available():
        png.write_all(drawn, directory)
    file = directory / "loadtest.html"
    file.write_text(page, encoding="utf-8")
    return file


def _page(
    title: str, verdict: str, command: str, faults: Sequence[str], table: Table, drawn: Sequence[Chart]
) -> str:
    listed = "".join(f"<li>{escape(fault)}</li>" for fault in faults[:_FAULTS])
    if len(faults) > _FAULTS:
        listed += f"<li>and {len(faults) - _FAULTS} more</li>"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>mediaproxy loadtest</title>'
        '<meta name="viewport" content="width=device-width">'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1><p>{escape(verdict)}</p><ul>{listed}</ul>"
        f"{_table(table)}{''.join(map(draw, drawn))}"
        f"<h2>Where and how</h2><p><code>{escape(command)}</code></p>"
        f"{_table(list(machine().items()))}</html>\n"
    )


def _table(rows: Table) -> str:
    cells = (f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _three(values: list[float]) -> str:
    return " / ".join(f"{value:.1f}" for value in percentiles(values).values()) + " ms"
