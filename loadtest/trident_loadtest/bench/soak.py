"""Hours at half the capacity, in minutes: does anything fail, does anything grow?

Memory is sampled meanwhile, by process. The verdict is about Triton and its Python processes, and about their own
memory and the shared memory of tensors: pages of mapped files come with use and go when others need the memory. Redis
is reported apart: what it keeps of users and answers grows with them, up to the limits that are set for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from trident_loadtest.bench.arrivals import spread
from trident_loadtest.bench.capacity import found_capacity
from trident_loadtest.bench.charts import TONES, Axis, Line, chart
from trident_loadtest.bench.figures import figures
from trident_loadtest.bench.latency import charts, cost_keys, summary
from trident_loadtest.bench.memory import Memory, memory_by_name
from trident_loadtest.bench.opening import Say, Settings, opened
from trident_loadtest.bench.overload import CALM
from trident_loadtest.bench.page import latencies, table
from trident_loadtest.bench.report import Report
from trident_loadtest.bench.slope import Slope, slope
from trident_loadtest.bench.target import Target

SAMPLES = 240
FASTEST = 1.0  # seconds between two samples, at least
SETTLING = 0.2  # of the time, in which caches fill; it does not count
REDIS = "redis-server"
Row = tuple[float, dict[str, Memory]]


@dataclass(frozen=True)
class Plan:
    """How long, and how fast: at `rate`, else at half of `capacity`, which is looked for when it is None too."""

    minutes: float = 30.0
    rate: float | None = None
    capacity: float | None = None


class MemoryWatch:
    """Samples the memory of a server's processes from `with` on; `rows` are (seconds since then, by name)."""

    def __init__(self, read: Callable[[], dict[str, Memory]], every: float) -> None:
        self.rows: list[Row] = []
        self._read, self._every, self._stopped = read, every, threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory")

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            self.rows.append((time.monotonic() - began, self._read()))
            if self._stopped.wait(self._every):
                return


def measure(settings: Settings, plan: Plan, say: Say) -> Report:
    """Measure; raises Saturated when the generator could not keep up."""
    with opened(settings) as ready:
        ready.warm(say, 50.0, len(ready.requests))
        rate = plan.rate or CALM * (plan.capacity or found_capacity(ready, say))
        seconds, target = 60 * plan.minutes, ready.session.target
        say(f"{rate:.0f}/s for {plan.minutes:g} minutes")
        with MemoryWatch(lambda: memory_by_name(target.processes()), max(FASTEST, seconds / SAMPLES)) as watch:
            run = ready.session.run(spread(settings.arrivals, rate, seconds, settings.seed))
        say(summary(run.samples))
        values: dict[str, Any] = {
            "kind": "soak",
            **ready.facts,
            "settings": {**settings.as_dict(), **vars(plan)},
            "rate": rate,
            "memory_growth": growth(watch.rows),
            "memory_samples": [
                [round(at, 1), {name: vars(one) for name, one in held.items()}] for at, held in watch.rows
            ],
            **figures([run], target),
        }
    about = (
        f"{rate:.0f} requests/s for {plan.minutes:g} minutes. Memory was sampled {len(watch.rows)} times; slopes are "
        f"those of a line through the last {1 - SETTLING:.0%} of the samples, with 95 % intervals that allow for "
        "samples that resemble their neighbours. Own memory and shared memory of tensors, without pages of mapped "
        "files. Redis keeps what was shown to whom, so it grows with the answers up to the limits that are set for it."
    )
    parts = [_chart(watch.rows), _table(values["memory_growth"]), latencies(values), *charts([run])]
    return Report(f"Soak: {plan.minutes:g} minutes", about, values, _keys(values, target), parts)


def growth(rows: list[Row]) -> dict[str, Any]:
    """MiB per hour of the server, of Redis and of each process: slope, interval, and whether it differs from 0."""
    settled = [row for row in rows if row[0] >= SETTLING * rows[-1][0]]
    names = sorted({name for _, held in settled for name in held})
    server = [name for name in names if name != REDIS]
    if len(settled) < 4 or not names:
        return {}
    groups = {"Triton and its processes": server, **{name: [name] for name in names}}
    return {group: _plain(_slope(settled, members)) for group, members in groups.items()}


def _slope(rows: list[Row], names: list[str]) -> Slope:
    hours = np.array([at for at, _ in rows]) / 3600
    return slope(hours, np.array([_mebibytes(held, names) for _, held in rows]))


def _mebibytes(held: dict[str, Memory], names: list[str]) -> float:
    return sum((held.get(name, Memory()).anon + held.get(name, Memory()).shmem) for name in names) / 2**20


def _plain(found: Slope) -> dict[str, Any]:
    return {"mib_per_hour": found.value, "interval": [found.low, found.high], "differs_from_0": found.distinguishable}


def _keys(values: dict[str, Any], target: Target) -> dict[str, str]:
    found, times = values["memory_growth"], values["latency_ms"]["median_of_runs"]
    shown = {"requests/s": f"{values['rate']:.0f}", "minutes": f"{values['settings']['minutes']:g}"}
    if found:
        server = found["Triton and its processes"]
        low, high = server["interval"]
        shown["growth, MiB per hour"] = f"{server['mib_per_hour']:+.1f} ({low:+.1f} to {high:+.1f})"
        shown["grows"] = "yes" if server["differs_from_0"] else "not distinguishable from 0"
    return {**shown, **{name: f"{times[name]:.1f} ms" for name in ("p50", "p99", "max")}, **cost_keys(values)}


def _chart(rows: list[Row]) -> str:
    names = sorted({name for _, held in rows for name in held}, key=lambda n: -_mebibytes(rows[-1][1], [n]))
    if not names:
        return ""
    shown = [("all but Redis", [n for n in names if n != REDIS]), *((name, [name]) for name in names[:3])]
    lines = [
        Line(label, [(at / 60, y, f"{at / 60:.1f} min: {label} {y:,.0f} MiB") for at, held in rows
                     for y in (_mebibytes(held, members),)], tone)
        for (label, members), tone in zip(shown, TONES, strict=False)
    ]  # fmt: skip
    return chart(lines, Axis("minutes"), Axis("own and shared memory in MiB"))


def _table(found: dict[str, Any]) -> str:
    rows = [
        [
            name,
            f"{one['mib_per_hour']:+.2f}",
            f"{one['interval'][0]:+.2f} to {one['interval'][1]:+.2f}",
            "yes" if one["differs_from_0"] else "no",
        ]
        for name, one in found.items()
    ]
    return "<h2>Growth</h2>" + table(["", "MiB per hour", "95 % interval", "differs from 0"], rows)
