"""Hands what this process counted to Triton, once a second and off the path of requests.

A call of Triton's metric API is a message to the server's process (about 0.01 ms), so counts travel as sums.
"""

from __future__ import annotations

import threading
from typing import Any

import triton_python_backend_utils as pb

from trident.metrics import Counter, Gauge, Histogram, Labels, Metric, metrics

PERIOD = 1.0  # seconds


class MetricsReporter:
    """A thread that reports from `start` until `stop`; what was counted last goes out with `stop`.

    Every series of a process that belongs to a `release` says so, so that two releases that serve side by side can be
    told apart.
    """

    def __init__(self, release: int | None = None) -> None:
        self._common = {} if release is None else {"release": str(release)}
        self._families: dict[str, Any] = {}
        self._series: dict[tuple[str, Labels], Any] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin; metrics without labels show up at once, as 0."""
        for metric in metrics():
            if isinstance(metric, Counter) and not metric.labels:
                metric.add(0)
        self._thread.start()

    def stop(self) -> None:
        """Report a last time and end."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopped.wait(PERIOD):
            self._report()
        self._report()

    def _report(self) -> None:
        try:
            for metric in metrics():
                for labels, value in metric.take().items():
                    hand_over(metric, self._of(metric, labels), value)
        except Exception as error:  # a metric must not end a process that answers requests
            pb.Logger.log_warn(f"metrics: not reported: {type(error).__name__}: {error}")

    def _of(self, metric: Metric, labels: Labels) -> Any:
        """Triton's side of one series, made on first use."""
        key = (metric.name, labels)
        if key not in self._series:
            more = {"buckets": list(metric.buckets)} if isinstance(metric, Histogram) else {}
            named = self._common | dict(zip(metric.labels, labels, strict=True))
            self._series[key] = self._family(metric).Metric(labels=named, **more)
        return self._series[key]

    def _family(self, metric: Metric) -> Any:
        if metric.name not in self._families:
            kind = {Counter: "COUNTER", Gauge: "GAUGE", Histogram: "HISTOGRAM"}[type(metric)]
            self._families[metric.name] = pb.MetricFamily(
                name=metric.name, description=metric.help, kind=getattr(pb.MetricFamily, kind)
            )
        return self._families[metric.name]


def hand_over(metric: Metric, series: Any, value: Any) -> None:
    """Give Triton what was taken of one series."""
    if isinstance(metric, Histogram):
        for one in value:
            series.observe(one)
    elif isinstance(metric, Gauge):
        series.set(value)
    else:
        series.increment(value)
