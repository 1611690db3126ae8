"""A table in Markdown of what was found, and the same with every round as JSON."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from benchmarks.alternatives.comparison import Found, Measured, Plan
from trident.release import Manifest
from trident_loadtest.latency import machine

COLUMNS = (
    "server", "requests/s with p99 < 100 ms", "p50 ms there", "p99 ms there", "Trident's p99 ms at that rate",
    "CPU ms per request", "own memory MiB",
)  # fmt: skip
MIB = 1 << 20


def table(plan: Plan, found: Sequence[Found]) -> str:
    """The table, with medians over the rounds, and what was measured on what."""
    manifest = Manifest.read(plan.release / "manifest.json")
    lines = [
        f"{machine()}, {os.uname().sysname} {os.uname().release}, generator on the same machine; "
        f"{manifest.items:,} items, {plan.rounds} rounds, {plan.seconds:g} s per rate",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
        *(_row(one) for one in found),
        "",
        *(_verdict(found[0], other) for other in found[1:]),
    ]
    return "\n".join(lines)


def _row(found: Found) -> str:
    cells = (
        found.name, f"{_median(found, _rate):.0f}", f"{_median(found, lambda m: m.run.p50_ms):.1f}",
        f"{_median(found, lambda m: m.run.p99_ms):.1f}", f"{_median(found, lambda m: m.trident.p99_ms):.1f}",
        f"{_median(found, lambda m: m.run.cpu_ms):.2f}", f"{found.memory / MIB:.0f}",
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"


def _verdict(trident: Found, other: Found) -> str:
    """How many times the capacity, and which share of the 99th percentile, round by round."""
    rounds = list(zip(trident.rounds, other.rounds, strict=True))
    times = [_rate(mine) / _rate(theirs) for mine, theirs in rounds]
    shares = [theirs.trident.p99_ms / theirs.run.p99_ms for _, theirs in rounds]
    return (
        f"Trident beside {other.name}: {median(times):.2f} times the capacity ({min(times):.2f} to {max(times):.2f}), "
        f"{median(shares):.2f} of its p99 at its own highest rate ({min(shares):.2f} to {max(shares):.2f})."
    )


def as_dict(plan: Plan, found: Sequence[Found]) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "machine": machine(),
        "plan": {**asdict(plan), "release": plan.release.name},
        "servers": [asdict(one) for one in found],
    }


def _rate(measured: Measured) -> float:
    return measured.run.rate


def _median(found: Found, of: Callable[[Measured], float]) -> float:
    return median(of(measured) for measured in found.rounds)
