"""Recall against processor time of a search, for every kind of index that was measured: a picture that stands alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 880, 420, 60, 16, 16, 40
LEGEND_ROW = 18
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000", "#8c564b")
LEAST_RECALL = 0.8  # that is drawn
TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)


def frontier_plot(points: Sequence[Mapping[str, Any]], target: float) -> str:
    """An SVG of `points` as in the manifest's `search.frontier`, without a filter: the best of each kind, joined."""
    kinds: dict[str, list[Mapping[str, Any]]] = {p["factory"]: [] for p in points}
    for point in points:
        if point["share"] == 1 and point["recall"] >= LEAST_RECALL:
            kinds[point["factory"]].append(point)
    drawn = {factory: frontier(own) for factory, own in kinds.items() if own}
    times = [p["cpu_ms"] for own in drawn.values() for p in own] or [1.0]
    low, high = math.log(min(times) / 1.1), math.log(max(times) * 1.1)

    def x(milliseconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log(milliseconds) - low) / (high - low)

    def y(recall: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (recall - LEAST_RECALL) / (1 - LEAST_RECALL)

    parts = [_rule(y(r), f"{r:.2f}", r == target) for r in sorted({0.8, 0.85, 0.9, 0.95, 1.0, target})]
    parts += [_below(x(t), f"{t:g} ms") for t in TIMES if low <= math.log(t) <= high]
    for own, colour in zip(drawn.values(), COLOURS * len(drawn), strict=False):
        parts.append(_curve([(x(p["cpu_ms"]), y(p["recall"]), _title(p)) for p in own], colour))
    parts += [_legend(n, f, c) for n, (f, c) in enumerate(zip(drawn, COLOURS * len(drawn), strict=False))]
    style = "text { font: 12px sans-serif; fill: #555; }"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
    about = "recall@500 against the median processor time of a search, without a filter"
    return "\n".join([f'{head} aria-label="{about}"><style>{style}</style>', *parts, "</svg>", ""])


def frontier(points: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those points that no other beats in both time and recall, fastest first."""
    kept: list[Mapping[str, Any]] = []
    for point in sorted(points, key=lambda p: (p["cpu_ms"], -p["recall"])):
        if not kept or point["recall"] > kept[-1]["recall"]:
            kept.append(point)
    return kept


def _title(point: Mapping[str, Any]) -> str:
    how = f"nprobe {point['nprobe']}, k_factor {point['k_factor']:g}"
    return f"{point['factory']}, {how}: recall {point['recall']:.4f}, {point['cpu_ms']:.2f} ms of processor time"


def _curve(places: Sequence[tuple[float, float, str]], colour: str) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in places)
    dots = "".join(
        f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(title)}</title></circle>'
        for x, y, title in places
    )
    return f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>{dots}'


def _rule(y: float, label: str, strong: bool) -> str:
    tone = ' stroke="#b00" stroke-dasharray="5"' if strong else ' stroke="#ccc"'
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"{tone}/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    )


def _below(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - 18}" text-anchor="middle">{label}</text>'


def _legend(number: int, factory: str, colour: str) -> str:
    y = HEIGHT - BOTTOM - 12 - LEGEND_ROW * number
    right = WIDTH - RIGHT - 8
    return (
        f'<rect x="{right - 10}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{right - 16}" y="{y}" text-anchor="end">{escape(factory)}</text>'
    )
