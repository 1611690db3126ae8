"""Small plots as inline SVG; their colours are CSS variables of the page, so that they follow light and dark.

Every mark carries its numbers as a tooltip. Counts start at 0 on linear axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 880, 200
LEFT, RIGHT, TOP, BOTTOM = 56, 30, 10, 26
ROW, LABEL, VALUE = 26, 160, 150  # height of a row, space for its label and for its value
TICKS = 5


@dataclass(frozen=True)
class Bar:
    """A column from `left` to `right` on the axis, `height` tall."""

    left: float
    right: float
    height: float
    title: str


@dataclass(frozen=True)
class Tick:
    """A label at a place on an axis."""

    at: float
    label: str


def columns(bars: Sequence[Bar], ticks: Sequence[Tick], tone: str, about: str) -> str:
    """Columns over a linear axis; `tone` is the CSS class of the marks, `about` what a screen reader says."""
    low, high = min(b.left for b in bars), max(b.right for b in bars)
    steps = even_ticks(max(b.height for b in bars))
    top = max(steps[-1], max(b.height for b in bars))

    def x(value: float) -> float:
        return _between(value, low, high, LEFT, WIDTH - RIGHT)

    def y(value: float) -> float:
        return _between(value, 0, top, HEIGHT - BOTTOM, TOP)

    gap = 1 if len(bars) < 200 else 0
    marks = [
        f'<rect class="{tone}" x="{x(b.left):.1f}" y="{y(b.height):.1f}" height="{y(0) - y(b.height):.1f}"'
        f' width="{max(x(b.right) - x(b.left) - gap, 0.5):.1f}"><title>{escape(b.title)}</title></rect>'
        for b in bars
    ]
    return _svg(HEIGHT, about, [*_grid([(y(s), compact(s)) for s in steps]), *marks, *_below(ticks, x)])


def curve(points: Sequence[tuple[float, float, str]], tone: str, about: str) -> str:
    """Points (x, y, title) joined by a line, both axes logarithmic and from 1."""
    right, top = max(10.0, *(p[0] for p in points)), max(10.0, *(p[1] for p in points))

    def x(value: float) -> float:
        return _between(math.log10(value), 0, math.log10(right), LEFT, WIDTH - RIGHT)

    def y(value: float) -> float:
        return _between(math.log10(value), 0, math.log10(top), HEIGHT - BOTTOM, TOP)

    places = [(x(a), y(b), title) for a, b, title in points]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in places)
    dots = [
        f'<circle class="{tone}" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{escape(title)}</title></circle>'
        for a, b, title in places
    ]
    grid = _grid([(y(power), compact(power)) for power in powers(top)])
    ticks = [Tick(power, compact(power)) for power in powers(right)]
    return _svg(HEIGHT, about, [*grid, f'<polyline class="{tone}" points="{path}"/>', *dots, *_below(ticks, x)])


def rows(values: Sequence[tuple[str, float, str]], tone: str, about: str) -> str:
    """Horizontal bars (label, value, its text), top down."""
    most, parts = max(v[1] for v in values), []
    for number, (label, value, text) in enumerate(values):
        top, length = number * ROW, max(1.0, value / most * (WIDTH - LABEL - VALUE))
        parts += [
            f'<text class="name" x="{LABEL - 8}" y="{top + 17}" text-anchor="end">{escape(label)}</text>',
            f'<rect class="{tone}" x="{LABEL}" y="{top + 4}" width="{length:.1f}" height="{ROW - 8}">'
            f"<title>{escape(f'{label}: {text}')}</title></rect>",
            f'<text x="{LABEL + length + 8:.1f}" y="{top + 17}">{escape(text)}</text>',
        ]
    return _svg(ROW * len(values), about, parts)


def even_ticks(most: float) -> list[float]:
    """About TICKS even whole numbers from 0 up to `most`."""
    rough = max(most / TICKS, 1)
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(f * magnitude for f in (1, 2, 5, 10) if f * magnitude >= rough)
    return [step * k for k in range(math.floor(most / step) + 1)]


def powers(most: float) -> list[int]:
    """1, 10, 100 and so on up to `most`."""
    return [10**k for k in range(math.floor(math.log10(most)) + 1)]


def compact(value: float) -> str:
    """A number as an axis shows it: 1,500 is 1.5k, 2,000,000 is 2M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _grid(lines: Sequence[tuple[float, str]]) -> list[str]:
    return [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        for y, label in lines
    ]


def _below(ticks: Sequence[Tick], x: Callable[[float], float]) -> list[str]:
    y = HEIGHT - 6
    return [f'<text x="{x(t.at):.1f}" y="{y}" text-anchor="middle">{escape(t.label)}</text>' for t in ticks]


def _between(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (end - start) * ((value - low) / (high - low) if high > low else 0.0)


def _svg(height: int, about: str, parts: Sequence[str]) -> str:
    head = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(about, quote=True)}">'
    return "\n".join([head, *parts, "</svg>"])
