"""Tells the results: on the terminal, as JSON, and as one HTML file that needs nothing beside it."""

import base64
import html
import io
import json
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from rich.console import Console
from rich.table import Table as TerminalTable

from tests.bench import ours, rtpengine
from tests.bench.results import Results
from tests.bench.tables import Table, tables

_COLOURS = {
    ours.NAME: "#0f766e",
    ours.NAME_IN_PYTHON: "#84cc16",
    ours.NAME_WITH_WORKERS: "#4338ca",
    rtpengine.NAME: "#b45309",
}
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>mediaproxy benchmark</title><style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c1917}}
table{{border-collapse:collapse;margin:.5rem 0 1rem}}th{{background:#f5f5f4}}
td,th{{padding:.25rem .7rem;border-bottom:1px solid #e7e5e4;text-align:left}}
.MISSED{{color:#b91c1c;font-weight:bold}}.met{{color:#15803d}}img{{max-width:100%}}p{{color:#57534e}}
</style><h1>mediaproxy benchmark</h1>{body}</html>
"""


def show(results: Results, console: Console) -> None:
    for table in tables(results):
        drawn = TerminalTable(*table.headings, title=table.title, title_justify="left")
        for row in table.rows:
            drawn.add_row(*row)
        console.print(drawn)


def write(results: Results, directory: Path) -> list[Path]:
    """Write results.json and report.html; their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    facts, page = directory / "results.json", directory / "report.html"
    facts.write_text(json.dumps(results.as_json(), indent=1, ensure_ascii=False) + "\n")
    page.write_text(_PAGE.format(body=_body(results)))
    return [facts, page]


def _body(results: Results) -> str:
    settings = {name: str(value) for name, value in results.settings.items()}
    machine = Table("Where and how", ("", ""), tuple({**results.about, **settings}.items()))
    parts = [_html_table(table) for table in tables(results)]
    if results.rounds:
        parts.insert(1, f'<img alt="CPU and delay by round" src="data:image/png;base64,{_chart(results)}">')
    return "".join([*parts, _html_table(machine)])


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(heading)}</th>" for heading in table.headings)
    rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in table.rows)
    note = f"<p>{html.escape(table.note)}</p>" if table.note else ""
    return f"<h2>{html.escape(table.title)}</h2>{note}<table><tr>{head}</tr>{rows}</table>"


def _cell(text: str) -> str:
    verdict = f' class="{text}"' if text in ("met", "MISSED") else ""
    return f"<td{verdict}>{html.escape(text)}</td>"


def _chart(results: Results) -> str:
    """CPU a packet and delays, medians of the rounds, a group of bars and a row of points for each level."""
    mpl.use("Agg")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    cost, delay = figure.subplots(1, 2)
    _draw_cost(cost, results)
    _draw_delay(delay, results)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    return base64.b64encode(drawn.getvalue()).decode()


def _draw_cost(axes: Axes, results: Results) -> None:
    """Each round is a dot on the bar of its median."""
    labels, at = [], 0
    for calls in results.levels():
        medians = results.medians(calls)
        labels.append((at + (len(medians) - 1) / 2, f"{calls} calls"))
        for proxy, median in medians.items():
            rounds = [round_.cpu_us_per_packet for round_ in results.of(proxy, calls)]
            axes.bar(at, median, color=_COLOURS[proxy])
            axes.plot([at] * len(rounds), rounds, "o", color="#1c1917", markersize=3)
            axes.annotate(f"{median:.1f}", (at, median), ha="center", va="bottom")
            at += 1
        at += 1
    axes.set_title("CPU per relayed and recorded packet (µs)")
    axes.set_xticks([place for place, _ in labels], [label for _, label in labels])
    named = {round_.proxy for round_ in results.rounds}
    axes.legend(handles=[Patch(color=_COLOURS[name], label=name) for name in _COLOURS if name in named])


def _draw_delay(axes: Axes, results: Results) -> None:
    names = ("p50", "p99", "p99.9", "max")
    for style, calls in zip(("-", "--", ":", "-."), results.levels(), strict=False):
        for proxy in results.medians(calls):
            delays = results.median_delays(proxy, calls)
            axes.plot(
                names, delays, style, marker="o", color=_COLOURS[proxy], label=f"{proxy}, {calls} calls"
            )
    axes.set_yscale("log")
    axes.set_title("One-way delay through the proxy (µs)")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
