"""Latency at a rate: several runs of an open load, and the median of each percentile over the runs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from trident_loadtest.bench.arrivals import Arrivals, recorded, spread
from trident_loadtest.bench.charts import Axis, Line, chart
from trident_loadtest.bench.figures import figures
from trident_loadtest.bench.opening import Say, Settings, opened
from trident_loadtest.bench.page import latencies, megabytes, percent
from trident_loadtest.bench.report import Report
from trident_loadtest.bench.samples import Samples, percentiles
from trident_loadtest.bench.session import Run
from trident_loadtest.request_profile import ProfileRequest, arrivals_of

SPECTRUM = (0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 99.95, 99.99)


def measure(settings: Settings, rate: float, seconds: float, runs: int, say: Say) -> Report:
    """Measure; raises Saturated when the generator could not keep up in one of the runs."""
    with opened(settings) as ready:
        offsets = _offsets(settings, ready.requests, rate, seconds, runs)
        sent = sum(map(len, offsets))
        rate = sent / seconds / runs
        ready.warm(say, rate, sent)
        done = []
        for number, when in enumerate(offsets, 1):
            done.append(ready.session.run(when))
            say(f"run {number} of {runs}: {summary(done[-1].samples)}")
        values = {
            "kind": "latency",
            **ready.facts,
            "settings": {**settings.as_dict(), "rate": rate, "seconds": seconds},
            **figures(done, ready.session.target),
        }
    about = (
        f"{rate:g} requests/s over gRPC, {settings.arrivals.value} arrivals that wait for no answer, {runs} runs of "
        f"{seconds:g} s; latency from the moment at which a request was due. The figures are medians over the runs."
    )
    return Report(f"Latency at {rate:g} requests/s", about, values, keys(values), [latencies(values), *charts(done)])


def _offsets(
    settings: Settings, requests: list[ProfileRequest], rate: float, seconds: float, runs: int
) -> list[np.ndarray]:
    if settings.arrivals is Arrivals.PROFILE:
        return recorded(arrivals_of(requests), seconds, runs)
    return [spread(settings.arrivals, rate, seconds, settings.seed + i) for i in range(runs)]


def summary(samples: Samples) -> str:
    """A run in a line."""
    found = percentiles(samples.histogram())
    failed = len(samples) - int(samples.answered.sum())
    lag = float(np.percentile(samples.lag_ms, 99))
    return (
        f"{len(samples):,} requests, p50 {found['p50']:.1f}, p99 {found['p99']:.1f}, max {found['max']:.1f} ms, "
        f"{failed} errors; generator {lag:.1f} ms late at p99"
    )


def keys(values: dict[str, Any]) -> dict[str, str]:
    """The key figures."""
    found = values["latency_ms"]["median_of_runs"]
    shown = {"requests/s": f"{values['settings']['rate']:g}"}
    shown |= {name: f"{value:.1f} ms" for name, value in found.items()}
    return {**shown, **cost_keys(values)}


def cost_keys(values: dict[str, Any]) -> dict[str, str]:
    """What answers cost and what they lacked."""
    server = values["server"]
    shown = {}
    if server["cpu_ms_per_answer"]:
        shown["CPU per answer"] = f"{server['cpu_ms_per_answer']['total']:.1f} ms"
    if values["memory_bytes"]:
        shown["memory"] = megabytes(values["memory_bytes"]["pss"])
    if server["embedding_cache"]:
        shown["cache hits"] = percent(server["embedding_cache"]["hit"])
    return {**shown, "degraded": percent(values["degraded_share"]), "errors": f"{values['errors']['count']:,}"}


def charts(runs: list[Run]) -> list[str]:
    """Latency by percentile, and over the time of the last run."""
    lines = [
        Line(f"run {i}", _spectrum(run.samples), "main" if i == len(runs) else "soft") for i, run in enumerate(runs, 1)
    ]
    places = [(_place(p), f"{p:g} %") for p in (0, 50, 90, 99, 99.9, 99.99)]
    last = runs[-1].samples
    return [
        chart(lines, Axis("percentile", places), Axis("latency in ms")),
        chart(over_time(last), Axis("seconds of the last run"), Axis("latency in ms")),
    ]


def _place(percentile: float) -> float:
    return -math.log10(1 - percentile / 100)


def _spectrum(samples: Samples) -> list[tuple[float, float, str]]:
    histogram, count = samples.histogram(), int(samples.answered.sum())
    known = [p for p in SPECTRUM if p == 0 or count * (1 - p / 100) >= 1]  # none beyond the slowest request
    found = [(p, histogram.get_value_at_percentile(p) / 1000) for p in known]
    return [(_place(p), value, f"{p:g} %: {value:.2f} ms") for p, value in found]


def over_time(samples: Samples, buckets: int = 60) -> list[Line]:
    """Median and p99 of the requests that were due in each part of the time."""
    since = samples.due - samples.due.min()
    width = max(1.0, (since.max() or 1.0) / buckets)
    part = (since // width).astype(int)
    middle, tail = [], []
    for one in np.unique(part):
        found = samples.latency_ms[(part == one) & samples.answered]
        if len(found):
            at, (p50, p99) = float((one + 0.5) * width), np.percentile(found, (50, 99)).tolist()
            middle.append((at, p50, f"{at:.0f} s: p50 {p50:.1f} ms"))
            tail.append((at, p99, f"{at:.0f} s: p99 {p99:.1f} ms"))
    return [Line("p50", middle), Line("p99", tail, "other")]
