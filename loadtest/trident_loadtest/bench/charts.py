"""Lines over linear axes as inline SVG; colours are CSS variables of the page, every dot carries its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 880, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 32, 12, 28
TICKS = 5
DOTS = 60  # a line of more points is drawn without dots
TONES = ("main", "other", "bad", "soft")


@dataclass(frozen=True)
class Line:
    """Points (x, y, tooltip) of one series; `tone` is one of TONES."""

    name: str
    points: Sequence[tuple[float, float, str]]
    tone: str = "main"


@dataclass(frozen=True)
class Axis:
    """What an axis says, and its labels where they are not plain numbers: (place, text)."""

    name: str
    labels: Sequence[tuple[float, str]] = ()


def chart(series: Sequence[Line], x: Axis, y: Axis, level: tuple[float, str] | None = None) -> str:
    """Draw series over common axes, y from 0; `level` is a line that matters and what it is."""
    points = [(a, b) for line in series for a, b, _ in line.points if math.isfinite(b)]
    if not points:
        return "<p>There is nothing to draw.</p>"
    heights = [0.0, *(b for _, b in points), *([level[0]] if level else [])]
    across = [place for place, _ in x.labels] or _ticks([a for a, _ in points])
    box = _Box(min(across[0], *(a for a, _ in points)), max(across[-1], *(a for a, _ in points)), _ticks(heights)[-1])
    labels = x.labels or [(value, f"{value:g}") for value in across]
    parts = [
        *(_grid(box.y(value), f"{value:g}") for value in _ticks(heights)),
        *(
            f'<text x="{box.x(v):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{escape(text)}</text>'
            for v, text in labels
        ),
        *([_level(box.y(level[0]), level[1])] if level else []),
        *(_drawn(line, box) for line in series),
    ]
    about = escape(f"{y.name} over {x.name}: {', '.join(line.name for line in series)}", quote=True)
    svg = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{about}">', *parts, "</svg>"]
    key = " · ".join(f'<span class="{line.tone}">{escape(line.name)}</span>' for line in series)
    return f"<figure><figcaption>{escape(y.name)} over {escape(x.name)}: {key}</figcaption>{''.join(svg)}</figure>"


@dataclass(frozen=True)
class _Box:
    left: float
    right: float
    top: float

    def x(self, value: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.left) / ((self.right - self.left) or 1.0)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / (self.top or 1.0)


def _ticks(values: Sequence[float]) -> list[float]:
    """About TICKS round numbers around the values, the first below and the last above them."""
    low, high = min(values), max(values)
    rough = max(high - low, 1e-6 * max(abs(high), 1.0)) / TICKS
    magnitude = 10.0 ** math.floor(math.log10(rough))
    step = next(f * magnitude for f in (1, 2, 5, 10) if f * magnitude >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(k * step, 12) for k in range(first, max(last, first + 1) + 1)]


def _drawn(line: Line, box: _Box) -> str:
    places = [(box.x(a), box.y(b), title) for a, b, title in line.points if math.isfinite(b)]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b, _ in places)
    dots = "".join(
        f'<circle class="{line.tone}" cx="{a:.1f}" cy="{b:.1f}" r="3"><title>{escape(title)}</title></circle>'
        for a, b, title in (places if len(places) <= DOTS else ())
    )
    return f'<polyline class="{line.tone}" points="{path}"/>{dots}'


def _grid(y: float, label: str) -> str:
    return (
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _level(y: float, text: str) -> str:
    return (
        f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{WIDTH - RIGHT}" y="{y - 4:.1f}" text-anchor="end">{escape(text)}</text>'
    )
