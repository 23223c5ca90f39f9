"""The plots as PNG files, by matplotlib, where it is installed (`pip install mediaproxy[plots]`)."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mediaproxy.loadtest.charts import COLOURS, Chart

MISSING = (
    "no PNG files: matplotlib is not installed (pip install 'mediaproxy[plots]'); the page has the same plots"
)
_INCHES = (9.0, 3.6)
_DPI = 110


def available() -> bool:
    return find_spec("matplotlib") is not None


def write_all(charts: Sequence[Chart], directory: Path) -> list[Path]:
    """One file each, by the charts' names."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = []
    for chart in charts:
        figure = Figure(figsize=_INCHES, dpi=_DPI, layout="constrained")
        FigureCanvasAgg(figure)
        _draw(chart, figure.add_subplot())
        found.append(directory / f"{chart.name}.png")
        figure.savefig(found[-1])
    return found


def _draw(chart: Chart, axes: Any) -> None:
    if chart.bars is not None:
        edges = chart.bars.edges
        axes.bar(edges[:-1], chart.bars.heights, edges[1:] - edges[:-1], align="edge", color=COLOURS[0])
    for place, curve in enumerate(chart.curves):
        marker = "o" if len(curve.x) <= 40 else ""
        colour = COLOURS[place % len(COLOURS)]
        axes.plot(
            curve.x, curve.y, label=curve.name, color=colour, marker=marker, linewidth=1, zorder=9 - place
        )
    axes.set(title=chart.title, xlabel=chart.x_label, ylabel=chart.y_label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.2)
    if len(chart.curves) > 1:
        axes.legend()
