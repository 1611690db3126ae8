"""Lines over linear axes as inline SVG, in the manner of `trident_export.data.charts`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 880, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 10, 26
TICKS = 4
DOTS = 60  # a line of more points is drawn without dots


@dataclass(frozen=True)
class Line:
    """Points (x, y, tooltip) of one series; `tone` is the CSS class of its marks."""

    points: Sequence[tuple[float, float, str]]
    tone: str


def lines(series: Sequence[Line], about: str) -> str:
    """Draw series over common axes; those without a finite point are left out."""
    points = [(x, y) for line in series for x, y, _ in line.points if math.isfinite(y)]
    if not points:
        return "<p>There is nothing to draw.</p>"
    across, up = (_axis([p[axis] for p in points]) for axis in (0, 1))
    grid = [_grid_line(_y(value, up), f"{value:.6g}") for value in up]
    below = [f'<text x="{_x(v, across):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{v:.6g}</text>' for v in across]
    marks = [_series(line, across, up) for line in series]
    head = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(about, quote=True)}">'
    return "\n".join([head, *grid, *below, *marks, "</svg>"])


def _axis(values: Sequence[float]) -> list[float]:
    """About TICKS round numbers around the values, the first below and the last above them."""
    low, high = min(values), max(values)
    rough = max(high - low, 1e-6 * max(abs(high), 1.0)) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(f * magnitude for f in (1, 2, 5, 10) if f * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def _series(line: Line, across: Sequence[float], up: Sequence[float]) -> str:
    places = [(_x(x, across), _y(y, up), title) for x, y, title in line.points if math.isfinite(y)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle class="{line.tone}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(title)}</title></circle>'
        for x, y, title in (places if len(places) <= DOTS else ())
    )
    return f'<polyline class="{line.tone}" points="{path}"/>{dots}'


def _x(value: float, axis: Sequence[float]) -> float:
    return LEFT + (WIDTH - RIGHT - LEFT) * (value - axis[0]) / (axis[-1] - axis[0])


def _y(value: float, axis: Sequence[float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - axis[0]) / (axis[-1] - axis[0])


def _grid_line(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )
