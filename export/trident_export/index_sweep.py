"""The cheapest way to search an index that reaches a recall, with filters too; every point on the way is kept."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import faiss
import numpy as np

from trident.search import ItemIndex
from trident_export.index_truth import Embeddings, Truth

LEAST_WIDENING, MOST_WIDENING = 0.5, 2.0  # the least: a filter that is not drawn evenly may take whole lists
STEP = 1.1  # by which the number of lists is known in the end
STALE_GAIN = 0.001  # of recall from twice the lists: more of them will not do
MARGIN = 0.1  # of what the target lacks to 1, by which it is surpassed: other queries give a little less


@dataclass(frozen=True)
class Point:
    """What one number of lists gives under one filter, one query at a time on one thread."""

    factory: str
    k_factor: float
    nprobe: int
    share: float  # of the items that are allowed
    recall: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # median of processor time, which other programs disturb less


@dataclass(frozen=True)
class Choice:
    """Settings of one index, what they give under each filter, and all points that were measured on the way."""

    index: ItemIndex
    k_factor: float
    given: tuple[Point, ...]
    points: tuple[Point, ...]

    @property
    def cost(self) -> float:
        """Milliseconds of processor time of a search without a filter."""
        return self.given[0].cpu_ms

    @property
    def recall(self) -> float:
        """The smallest under any filter."""
        return min(point.recall for point in self.given)


class Sweep:
    """Measures one index against the truth."""

    def __init__(self, factory: str, index: faiss.Index, truth: Truth, embeddings: Embeddings) -> None:
        self.factory, self.index, self.truth, self.embeddings = factory, index, truth, embeddings
        self.points: list[Point] = []

    def choose(self, k_factor: float, target: float) -> Choice:
        """The fewest lists that surpass the target under every filter, as far as any number of them does."""
        served, aim = self._index(k_factor), target + MARGIN * (1 - target)
        if served.lists > 1:
            wanted = [self._fewest(served, which, aim) for which in range(len(self.truth.filters))]
            nprobe, widening = _settings(wanted, [allowed.share for allowed in self.truth.filters])
            served = replace(served, nprobe=nprobe, widening=widening)
        given = [self.measured(served, which, None) for which in range(len(self.truth.filters))]
        return Choice(served, k_factor, tuple(given), tuple(self.points))

    def _index(self, k_factor: float) -> ItemIndex:
        if isinstance(self.index, faiss.IndexRefine):
            self.index.k_factor = k_factor
        return ItemIndex(self.index, 1)

    def _fewest(self, served: ItemIndex, which: int, aim: float) -> int:
        """The fewest lists whose recall reaches the aim, in steps of about a tenth; where it rises no more, those."""
        failed, nprobe, before = 0, 1, -1.0
        while (recall := self._point(served, which, nprobe).recall) < aim:
            if nprobe >= served.lists or recall - before < STALE_GAIN:
                return nprobe
            failed, before, nprobe = nprobe, recall, min(2 * nprobe, served.lists)
        while nprobe > failed + 1 and nprobe > STEP * failed:
            middle = max(failed + 1, min(nprobe - 1, round(math.sqrt(max(failed, 1) * nprobe))))
            if self._point(served, which, middle).recall >= aim:
                nprobe = middle
            else:
                failed = middle
        return nprobe

    def _point(self, served: ItemIndex, which: int, nprobe: int) -> Point:
        point = self.measured(served, which, nprobe)
        self.points.append(point)
        return point

    def measured(self, served: ItemIndex, which: int, nprobe: int | None) -> Point:
        """Search once per query: `nprobe` lists, or as many as serving would read."""
        allowed, found, spent, worked = self.truth.filters[which], 0, [], []
        with one_thread():
            for n, query in enumerate(self.truth.queries):
                started, before = time.perf_counter(), time.thread_time()
                if nprobe is None:
                    rows, _ = served.search(query, self.truth.k, allowed.bitmap, allowed.count)
                else:
                    rows, _ = served.read(query, self.truth.k, allowed.bitmap, nprobe)
                worked.append(1000 * (time.thread_time() - before))
                spent.append(1000 * (time.perf_counter() - started))
                found += self.truth.found(which, n, rows, self.embeddings)
        p50, p99, cpu = (
            round(float(np.percentile(times, at)), 3) for times, at in ((spent, 50), (spent, 99), (worked, 50))
        )
        recall = round(found / max(allowed.rows.size, 1), 4)
        k_factor = getattr(self.index, "k_factor", 1.0)
        return Point(self.factory, k_factor, nprobe or served.nprobe, allowed.share, recall, p50, p99, cpu)


def _settings(wanted: list[int], shares: list[float]) -> tuple[int, float]:
    """`nprobe` and `widening` that read at least the `wanted` lists at each share of allowed items; all come first."""
    needed = [math.log(n / wanted[0]) / -math.log(s) for n, s in zip(wanted, shares, strict=True) if s < 1]
    widening = round(min(max(LEAST_WIDENING, *needed[-1:]), MOST_WIDENING), 2)
    nprobe = max(math.ceil(n * share**widening) for n, share in zip(wanted, shares, strict=True))
    return nprobe, widening


@contextmanager
def one_thread() -> Iterator[None]:
    """Search as serving does: on one OpenMP thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
