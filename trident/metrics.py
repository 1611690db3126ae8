"""What the steps count, kept in the process that counted it until somebody takes it away.

Counting costs about a microsecond and never waits; the adapter hands what was counted to Triton's `/metrics` once a
second. Metrics of the same name and labels in several processes of one server add up there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

OBSERVATIONS = 10
"""Values that one series of a histogram keeps between two times of taking away; what comes beyond them is left out.

Triton takes the values of a histogram one by one, each as a message to its process."""

Labels = tuple[str, ...]


@dataclass
class Metric:
    """One metric: its Prometheus name, what it says, and the names of its labels.

    A metric is made once, at the top of the module that counts it; a second one of the same name is a mistake.
    """

    all: ClassVar[dict[str, Metric]] = {}
    name: str
    help: str
    labels: tuple[str, ...] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def __post_init__(self) -> None:
        if self.name in self.all:
            raise ValueError(f"metric {self.name}: made twice")
        self.all[self.name] = self

    def take(self) -> Mapping[Labels, Any]:
        """What to report, by label values; what was noted is forgotten with it."""
        raise NotImplementedError

    def _series(self, labels: dict[str, str]) -> Labels:
        return tuple(labels[name] for name in self.labels)


@dataclass
class Counter(Metric):
    """A number that only grows."""

    _counts: dict[Labels, float] = field(default_factory=dict, repr=False)

    def add(self, amount: float = 1.0, **labels: str) -> None:
        """Count `amount` more."""
        series = self._series(labels)
        with self._lock:
            self._counts[series] = self._counts.get(series, 0.0) + amount

    def take(self) -> dict[Labels, float]:
        """What was counted since the last time, by label values."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken


@dataclass
class Gauge(Metric):
    """A number as it is now, asked for each time that it is taken."""

    _sources: dict[Labels, Callable[[], float]] = field(default_factory=dict, repr=False)

    def follow(self, source: Callable[[], float], **labels: str) -> None:
        """Ask `source` from now on; it may be called from any thread."""
        with self._lock:
            self._sources[self._series(labels)] = source

    def take(self) -> dict[Labels, float]:
        """The values now, by label values."""
        with self._lock:
            sources = dict(self._sources)
        return {series: source() for series, source in sources.items()}


@dataclass
class Histogram(Metric):
    """How values are spread: `buckets` are upper bounds, ascending; Prometheus adds +Inf."""

    buckets: tuple[float, ...] = ()
    _values: dict[Labels, list[float]] = field(default_factory=dict, repr=False)

    def observe(self, values: Iterable[float] | np.ndarray, **labels: str) -> None:
        """Note some values; of very many within a second the later ones are left out."""
        with self._lock:
            kept = self._values.setdefault(self._series(labels), [])
            if len(kept) < OBSERVATIONS:
                kept.extend(values.tolist() if isinstance(values, np.ndarray) else values)

    def observe_columns(self, values: np.ndarray, series: Sequence[Labels]) -> None:
        """Note values (n, s), a column for each of the `series`, which are given by their label values."""
        with self._lock:
            for column, labels in enumerate(series):
                kept = self._values.setdefault(labels, [])
                if len(kept) < OBSERVATIONS:
                    kept.extend(values[:, column].tolist())

    def take(self) -> dict[Labels, list[float]]:
        """The values since the last time, by label values."""
        with self._lock:
            taken, self._values = self._values, {}
        return taken


def metrics() -> Iterator[Metric]:
    """All metrics that the imported modules have made."""
    yield from tuple(Metric.all.values())
