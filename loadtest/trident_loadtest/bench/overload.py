"""What the server does with several times more than it can do, and how soon it is well again.

Half the capacity for a while, then several times the capacity, then half of it again, without a pause between them.
A request is *good* when it is answered within the deadline, counted from when it was due; goodput is good requests per
second. It is *rejected* when the server says no, *late* when the answer comes after the deadline, and *given up* when
none came until the client stopped waiting. All is normal in a half second in which 99 % of the requests due in it are
good.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trident_loadtest.bench.arrivals import phases
from trident_loadtest.bench.capacity import found_capacity
from trident_loadtest.bench.charts import Axis, Line, chart
from trident_loadtest.bench.figures import figures
from trident_loadtest.bench.latency import cost_keys, over_time, summary
from trident_loadtest.bench.opening import Say, Settings, opened
from trident_loadtest.bench.page import latencies, percent, table
from trident_loadtest.bench.report import Report
from trident_loadtest.bench.samples import DEADLINE_EXCEEDED, Samples, histogram_of, percentiles

WINDOW = 0.5  # seconds
NORMAL = 0.99  # share of good requests
CALM = 0.5  # of the capacity, before and after


@dataclass(frozen=True)
class Plan:
    """How much, how long, and when an answer is good."""

    capacity: float | None = None  # requests/s; looked for when None
    factor: float = 3.0
    seconds: float = 60.0
    before: float = 10.0
    after: float = 20.0
    deadline_ms: float = 100.0


@dataclass(frozen=True)
class Kinds:
    """Which of n requests were good, rejected, late or given up: (n,) bool each."""

    good: np.ndarray
    rejected: np.ndarray
    late: np.ndarray
    given_up: np.ndarray


def kinds(samples: Samples, deadline_ms: float) -> Kinds:
    """Sort requests by what became of them."""
    in_time = samples.latency_ms <= deadline_ms
    gone = samples.code == DEADLINE_EXCEEDED
    return Kinds(
        samples.answered & in_time, ~samples.answered & ~gone, samples.answered & ~in_time, ~samples.answered & gone
    )


def back_to_normal(due: np.ndarray, good: np.ndarray, end: float) -> float | None:
    """Seconds after `end` until all is normal for good; None when it is not at the end of what was sent."""
    window = ((due - end) // WINDOW).astype(int)
    windows = [w for w in np.unique(window) if w >= 0]
    wrong = [int(w) for w in windows if good[window == w].mean() < NORMAL]
    if not wrong:
        return 0.0
    return None if wrong[-1] == windows[-1] else (wrong[-1] + 1) * WINDOW


def measure(settings: Settings, plan: Plan, say: Say) -> Report:
    """Measure; raises Saturated when the generator could not keep up."""
    with opened(settings) as ready:
        ready.warm(say, 50.0, len(ready.requests))
        capacity = plan.capacity or found_capacity(ready, say)
        calm, much = CALM * capacity, plan.factor * capacity
        parts = [(calm, plan.before), (much, plan.seconds), (calm, plan.after)]
        say(
            f"{calm:.0f}/s for {plan.before:g} s, {much:.0f}/s for {plan.seconds:g} s, "
            f"{calm:.0f}/s for {plan.after:g} s"
        )
        when = phases(settings.arrivals, parts, settings.seed)
        run = ready.session.run(when)
        say(summary(run.samples))
        values: dict[str, Any] = {
            "kind": "overload",
            **ready.facts,
            "settings": {**settings.as_dict(), **vars(plan)},
            "capacity": capacity,
            "overload": judged(run.samples, when, plan, capacity),
            **figures([run], ready.session.target),
        }
    about = (
        f"{plan.factor:g} times {capacity:.0f} requests/s for {plan.seconds:g} s, with half the capacity before and "
        f"after. A request is good when it is answered within {plan.deadline_ms:g} ms of the moment at which it was "
        f"due; rejected when the server says no; given up when nothing came for {settings.give_up:g} s. All is normal "
        f"again after the last half second in which less than {NORMAL:.0%} of the requests were good."
    )
    shown = [
        _chart(run.samples, when, plan),
        _latency_chart(run.samples),
        _table(values["overload"]),
        latencies(values),
    ]
    return Report(f"Overload: {plan.factor:g} times capacity", about, values, _keys(values), shown)


def judged(samples: Samples, since: np.ndarray, plan: Plan, capacity: float) -> dict[str, Any]:
    """What became of the requests that were due during the overload, and afterwards; `since` the start, in seconds."""
    hot = (since >= plan.before) & (since < plan.before + plan.seconds)
    part, found = samples.part(hot), kinds(samples.part(hot), plan.deadline_ms)
    goodput = float(found.good.sum()) / plan.seconds
    end = float(samples.due[0] - since[0]) + plan.before + plan.seconds
    return {
        "offered_per_s": len(part) / plan.seconds,
        "goodput_per_s": goodput,
        "goodput_of_capacity": goodput / capacity,
        **{f"share_{name}": float(which.mean()) for name, which in vars(found).items()},
        "rejections_ms": percentiles(histogram_of(part.latency_ms[found.rejected])),
        "good_ms": percentiles(histogram_of(part.latency_ms[found.good])),
        "back_to_normal_s": back_to_normal(samples.due, kinds(samples, plan.deadline_ms).good, end),
    }


def _keys(values: dict[str, Any]) -> dict[str, str]:
    found = values["overload"]
    back = found["back_to_normal_s"]
    return {
        "capacity": f"{values['capacity']:.0f}/s",
        "offered": f"{found['offered_per_s']:.0f}/s",
        "goodput": f"{found['goodput_per_s']:.0f}/s",
        "of capacity": percent(found["goodput_of_capacity"]),
        "rejected": percent(found["share_rejected"]),
        "rejections p99": f"{found['rejections_ms']['p99']:.1f} ms" if found["share_rejected"] else "–",
        "late": percent(found["share_late"]),
        "given up": percent(found["share_given_up"]),
        "back to normal": "not at the end" if back is None else f"{back:g} s",
        **cost_keys(values),
    }


def _chart(samples: Samples, since: np.ndarray, plan: Plan) -> str:
    found = kinds(samples, plan.deadline_ms)
    lines = [
        Line("offered", _per_second(since, np.ones(len(samples), bool)), "soft"),
        Line("good", _per_second(since, found.good)),
        Line("rejected", _per_second(since, found.rejected), "other"),
        Line("late or given up", _per_second(since, found.late | found.given_up), "bad"),
    ]
    return chart(lines, Axis("seconds"), Axis("requests per second"))


def _per_second(since: np.ndarray, which: np.ndarray) -> Sequence[tuple[float, float, str]]:
    counts = np.bincount(since[which].astype(int), minlength=int(since.max()) + 1)
    return [(second + 0.5, float(n), f"{second} s: {n}") for second, n in enumerate(counts.tolist())]


def _latency_chart(samples: Samples) -> str:
    return chart(over_time(samples, 90), Axis("seconds"), Axis("latency of answers in ms"))


def _table(found: dict[str, Any]) -> str:
    rows = [
        [name, percent(found[f"share_{key}"])]
        for name, key in (("good", "good"), ("rejected", "rejected"), ("late", "late"), ("given up", "given_up"))
    ]
    names = ("p50", "p99", "max")
    times = [
        [name, *(f"{found[key][p]:.1f} ms" if found[key][p] == found[key][p] else "–" for p in names)]
        for name, key in (("good answers", "good_ms"), ("rejections", "rejections_ms"))
    ]
    return "<h2>During the overload</h2>" + table(["requests", "share"], rows) + table(["latency", *names], times)
