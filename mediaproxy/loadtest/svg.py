"""Small charts as SVG: lines and bars over linear axes, in the page's own text colour."""

import math
from dataclasses import dataclass
from html import escape

from mediaproxy.loadtest.charts import COLOURS, Bars, Chart

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 25, 30, 45
_MARKED = 40  # so few points are shown each
_TICKS = 5
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


def draw(chart: Chart) -> str:
    """Curves from the axes' zero on, their names above; or the bars of a histogram."""
    return _bars(chart, chart.bars) if chart.bars is not None else _lines(chart)


def _lines(chart: Chart) -> str:
    plane = _Plane(
        _round_up(max(float(curve.x.max(initial=0)) for curve in chart.curves)),
        _round_up(max(float(curve.y.max(initial=0)) for curve in chart.curves)),
    )
    drawn = []
    for place, curve in reversed(list(enumerate(chart.curves))):  # the first on top
        colour = COLOURS[place % len(COLOURS)]
        places = [(plane.x(x), plane.y(y)) for x, y in zip(curve.x, curve.y, strict=True)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        if len(places) <= _MARKED:
            drawn += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        drawn.append(_text(_WIDTH - _RIGHT - 60 * (len(chart.curves) - place), 18, curve.name, colour=colour))
    return _framed(chart, plane, drawn)


def _bars(chart: Chart, bars: Bars) -> str:
    plane = _Plane(_round_up(float(bars.edges[-1])), _round_up(float(bars.heights.max(initial=0))))
    drawn = [
        f'<rect x="{plane.x(left):.1f}" y="{plane.y(height):.1f}" '
        f'width="{max(plane.x(right) - plane.x(left) - 0.5, 0.5):.1f}" '
        f'height="{plane.y(0) - plane.y(height):.1f}" fill="{COLOURS[0]}"/>'
        for left, right, height in zip(bars.edges[:-1], bars.edges[1:], bars.heights, strict=True)
    ]
    return _framed(chart, plane, drawn)


@dataclass(frozen=True, slots=True)
class _Plane:
    """From values to pixels."""

    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.most_x

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most_y


def _framed(chart: Chart, plane: _Plane, drawn: list[str]) -> str:
    parts = [
        _text(_LEFT, 18, f"{chart.title} ({chart.y_label})"),
        _text(_WIDTH / 2, _HEIGHT - 8, chart.x_label, "middle"),
    ]
    for step in range(_TICKS + 1):
        x, y = plane.most_x * step / _TICKS, plane.most_y * step / _TICKS
        parts.append(_text(plane.x(x), _HEIGHT - _BOTTOM + 16, f"{x:,.6g}", "middle"))
        parts.append(_text(_LEFT - 6, plane.y(y) + 4, f"{y:,.6g}", "end"))
        across = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{plane.y(y):.1f}" y2="{plane.y(y):.1f}"'
        parts.append(f'<line {across} stroke="currentColor" stroke-opacity="0.15"/>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(chart.title)}">'
        + "".join(parts + drawn)
        + "</svg>"
    )


def _round_up(most: float) -> float:
    """The end of an axis whose ticks are round numbers."""
    step = max(most, 1e-9) / _TICKS
    power = 10.0 ** math.floor(math.log10(step))
    return _TICKS * next(round_ * power for round_ in _ROUND if round_ * power >= step * 0.999)


def _text(x: float, y: float, text: str, anchor: str = "start", colour: str = "currentColor") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'
