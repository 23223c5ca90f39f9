"""Small charts as SVG: lines and bars over linear axes, in the page's own text colour."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 720, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 25, 30, 45
_COLOURS = ("#2a6fdb", "#d9822b", "#c23b3b")
_TICKS = 5
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Curve:
    name: str
    x: Numbers
    y: Numbers


def line_chart(title: str, x_label: str, y_label: str, curves: Sequence[Curve]) -> str:
    """Curves from the axes' zero on; their names stand above."""
    plane = _Plane(
        _round_up(max(float(curve.x.max(initial=0)) for curve in curves)),
        _round_up(max(float(curve.y.max(initial=0)) for curve in curves)),
    )
    drawn = []
    for place, curve in enumerate(curves):
        colour = _COLOURS[place % len(_COLOURS)]
        points = " ".join(f"{plane.x(x):.1f},{plane.y(y):.1f}" for x, y in zip(curve.x, curve.y, strict=True))
        drawn.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        drawn.append(_text(_WIDTH - _RIGHT - 60 * (len(curves) - place), 18, curve.name, colour=colour))
    return _chart(title, x_label, y_label, plane, drawn)


def bar_chart(title: str, x_label: str, y_label: str, edges: Numbers, heights: Numbers) -> str:
    """A histogram: bar i stands from edges[i] to edges[i + 1]."""
    plane = _Plane(_round_up(float(edges[-1])), _round_up(float(heights.max(initial=0))))
    drawn = [
        f'<rect x="{plane.x(left):.1f}" y="{plane.y(height):.1f}" '
        f'width="{max(plane.x(right) - plane.x(left) - 0.5, 0.5):.1f}" '
        f'height="{plane.y(0) - plane.y(height):.1f}" fill="{_COLOURS[0]}"/>'
        for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True)
    ]
    return _chart(title, x_label, y_label, plane, drawn)


@dataclass(frozen=True, slots=True)
class _Plane:
    """From values to pixels."""

    most_x: float
    most_y: float

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.most_x

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / self.most_y


def _chart(title: str, x_label: str, y_label: str, plane: _Plane, drawn: list[str]) -> str:
    parts = [_text(_LEFT, 18, f"{title} ({y_label})"), _text(_WIDTH / 2, _HEIGHT - 8, x_label, "middle")]
    for step in range(_TICKS + 1):
        x, y = plane.most_x * step / _TICKS, plane.most_y * step / _TICKS
        parts.append(_text(plane.x(x), _HEIGHT - _BOTTOM + 16, f"{x:,.6g}", "middle"))
        parts.append(_text(_LEFT - 6, plane.y(y) + 4, f"{y:,.6g}", "end"))
        across = f'x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{plane.y(y):.1f}" y2="{plane.y(y):.1f}"'
        parts.append(f'<line {across} stroke="currentColor" stroke-opacity="0.15"/>')
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">'
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
