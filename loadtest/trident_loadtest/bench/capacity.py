"""The highest rate at which the server keeps up: p99 below a limit and no request without an answer.

The rate goes up in steps until one fails, twice, and the gap between the last that held and the first that failed is
then halved until it is small. What was found is proved by several runs; a rate that does not hold in them is lowered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from trident.errors import Unavailable
from trident_loadtest.bench.arrivals import spread
from trident_loadtest.bench.charts import Axis, Line, chart
from trident_loadtest.bench.figures import figures
from trident_loadtest.bench.latency import charts, cost_keys, summary
from trident_loadtest.bench.opening import Opened, Say, Settings, opened
from trident_loadtest.bench.page import latencies, table
from trident_loadtest.bench.report import Report
from trident_loadtest.bench.samples import Samples, percentiles
from trident_loadtest.bench.session import Run

WARM_RATE = 50.0
LOWER = 0.95  # by what a rate is multiplied that does not hold in the runs
TRIES = 5


@dataclass(frozen=True)
class Search:
    """How the rate is looked for: from `start`, `growth` times more each step, until the gap is `close` of the rate."""

    limit_ms: float = 100.0  # p99 below this holds
    start: float = 50.0
    growth: float = 1.4
    close: float = 0.04
    step_seconds: float = 15.0
    seconds: float = 30.0  # of each run that proves the rate
    runs: int = 5
    most: float = 5000.0


@dataclass(frozen=True)
class Step:
    """What came of a rate."""

    rate: float
    p99_ms: float
    failed: int
    held: bool


def search(plan: Search, holds: Callable[[float], bool]) -> float:
    """The highest rate that `holds`, to `plan.close` of itself; 0 when not even a tenth of the start does.

    A step that fails is tried once more: a single disturbance does not end the search.
    """
    good, bad, rate = 0.0, float("inf"), plan.start
    while bad == float("inf") and rate <= plan.most:
        if holds(rate) or holds(rate):
            good, rate = rate, rate * plan.growth
        else:
            bad = rate
    while bad > plan.start / 10 and bad < float("inf") and bad - good > plan.close * bad:
        rate = (good + bad) / 2
        if holds(rate) or holds(rate):
            good = rate
        else:
            bad = rate
    return good


def measure(settings: Settings, plan: Search, say: Say) -> Report:
    """Measure; raises Saturated when the generator could not keep up in a run, or was the reason why a step failed."""
    with opened(settings) as ready:
        ready.warm(say, min(WARM_RATE, plan.start), len(ready.requests))
        rate, steps = find(ready, plan, say)
        runs, rate = _prove(ready, plan, rate, steps, say)
        values = {
            "kind": "capacity",
            **ready.facts,
            "settings": {**settings.as_dict(), **vars(plan)},
            "rate": rate,
            "steps": [vars(step) for step in steps],
            **figures(runs, ready.session.target),
        }
    about = (
        f"The highest rate at which p99 stays below {plan.limit_ms:g} ms and every request is answered: steps of "
        f"{plan.step_seconds:g} s, then {plan.runs} runs of {plan.seconds:g} s at the rate that was found. "
        f"{settings.arrivals.value.capitalize()} arrivals over gRPC that wait for no answer; latency from the moment "
        "at which a request was due."
    )
    parts = [_chart(steps, plan), _table(steps), latencies(values), *charts(runs)]
    return Report(f"Capacity: {rate:.0f} requests/s", about, values, _keys(values, plan), parts)


def find(ready: Opened, plan: Search, say: Say) -> tuple[float, list[Step]]:
    """Look for the rate; it is not proved yet."""
    steps: list[Step] = []
    return search(plan, lambda rate: _try(ready, plan, rate, steps, say)), steps


def found_capacity(ready: Opened, say: Say) -> float:
    """The rate for measurements that need to know it; raises Unavailable when there is none."""
    rate, _ = find(ready, Search(), say)
    if not rate:
        raise Unavailable("no rate was found that the server holds; `trident bench capacity` shows what it tried")
    return rate


def _try(ready: Opened, plan: Search, rate: float, steps: list[Step], say: Say) -> bool:
    samples = ready.session.run(_offsets(ready, rate, plan.step_seconds, len(steps)), check=False).samples
    step = judged(samples, rate, plan.limit_ms)
    if not step.held and not _by_the_server(samples, plan.limit_ms):
        ready.session.limits.check(samples)
    steps.append(step)
    say(f"{rate:7.1f}/s {'holds' if step.held else 'fails'}: {summary(samples)}")
    return step.held


def _by_the_server(samples: Samples, limit_ms: float) -> bool:
    """Whether a rate would fail too if requests counted from when they were sent."""
    answered = samples.answered
    return not answered.all() or float(np.percentile(samples.service_ms[answered], 99)) >= limit_ms


def judged(samples: Samples, rate: float, limit_ms: float) -> Step:
    """Whether a rate holds."""
    p99, failed = percentiles(samples.histogram())["p99"], int((~samples.answered).sum())
    return Step(rate, p99, failed, not failed and p99 < limit_ms)


def _prove(ready: Opened, plan: Search, rate: float, steps: list[Step], say: Say) -> tuple[list[Run], float]:
    """Runs at the rate; at a lower one when the median of their p99 is above the limit or a request failed."""
    for _ in range(TRIES):
        if not rate:
            break
        runs = []
        for number in range(plan.runs):
            runs.append(ready.session.run(_offsets(ready, rate, plan.seconds, 100 + number)))
            say(f"{rate:7.1f}/s, run {number + 1} of {plan.runs}: {summary(runs[-1].samples)}")
        found = [judged(run.samples, rate, plan.limit_ms) for run in runs]
        p99, failed = median(step.p99_ms for step in found), sum(step.failed for step in found)
        steps.append(Step(rate, p99, failed, not failed and p99 < plan.limit_ms))
        if steps[-1].held:
            return runs, rate
        rate *= LOWER
    raise Unavailable(
        f"no rate was found at which p99 stays below {plan.limit_ms:g} ms without errors: "
        f"{'; '.join(f'{s.rate:.0f}/s: p99 {s.p99_ms:.0f} ms, {s.failed} failed' for s in steps[-3:])}"
    )


def _offsets(ready: Opened, rate: float, seconds: float, seed: int) -> Any:
    return spread(ready.settings.arrivals, rate, seconds, ready.settings.seed + seed)


def _keys(values: dict[str, Any], plan: Search) -> dict[str, str]:
    found = values["latency_ms"]["median_of_runs"]
    return {
        f"highest rate with p99 < {plan.limit_ms:g} ms": f"{values['rate']:.0f}/s",
        **{name: f"{found[name]:.1f} ms" for name in ("p50", "p99", "p99.9", "max")},
        **cost_keys(values),
    }


def _chart(steps: list[Step], plan: Search) -> str:
    def line(name: str, tone: str, held: bool) -> Line:
        found = sorted((s.rate, min(s.p99_ms, 5 * plan.limit_ms), _words(s)) for s in steps if s.held is held)
        return Line(name, found, tone)

    return chart(
        [line("held", "main", True), line("failed", "bad", False)], Axis("requests/s"), Axis("p99 in ms"),
        (plan.limit_ms, f"{plan.limit_ms:g} ms"),
    )  # fmt: skip


def _words(step: Step) -> str:
    return f"{step.rate:.0f}/s: p99 {step.p99_ms:.1f} ms, {step.failed} failed"


def _table(steps: list[Step]) -> str:
    rows = [
        [f"{step.rate:.1f}/s", f"{step.p99_ms:.1f} ms", f"{step.failed:,}", "yes" if step.held else "no"]
        for step in steps
    ]
    return "<h2>Steps</h2>" + table(["rate", "p99", "failed", "held"], rows)
