"""FAISS search on an NVIDIA card: all items compared in half precision, or inverted lists, whichever is faster there.

FAISS has no filters on a card. So the card names the nearest 2,048 items, whatever they are, of all users of a batch at
once, and those that a user may not see fall out here. Where too few are left, the index on the CPU answers for that
user, with the filter inside the search.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from trident.bitmap import first_set
from trident.contract import EMBEDDING_DIM, NO_ITEM
from trident.search import ItemIndex, Search

log = logging.getLogger(__name__)
cards: Any = faiss
"""What the build of FAISS for cards adds to the module is not in the types of the other build."""

NEAREST = 2048
"""Items per user that the card names; FAISS selects no more there, and reads no more lists."""
USERS = 16  # per batch of the sweep
QUERIES = 256  # of the sweep: items that are asked for as if they were users
TARGET = 0.95  # recall of the nearest 2,048: with a filter any of them may be needed
LEAST_LISTED = 100_000  # items; below, inverted lists cannot pay
LISTS = 4096
TRAINING = 262_144  # items
BATCH = 1 << 17  # items that go onto the card at once: 64 MB


@dataclass(frozen=True)
class Choice:
    """An index, how many lists to read (0: it has none), and what the sweep found."""

    index: Any
    nprobe: int
    recall: float
    ms: float  # per batch of USERS

    def nearest(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (Q, k) int64, -1 pads, and similarities (Q, k) float32 of queries (Q, 128), nearest first."""
        return nearest(self.index, queries, k, self.nprobe)


@dataclass(frozen=True)
class CardIndex(ItemIndex):
    """The index of a release, whose searches for requests a card answers as far as it can."""

    card: Choice | None = None

    @classmethod
    def of(cls, cpu: ItemIndex, card: Choice) -> CardIndex:
        """The same index with a card before it."""
        return cls(cpu.index, cpu.nprobe, cpu.widening, card)

    @classmethod
    def on(cls, cpu: ItemIndex, device: int) -> CardIndex:
        """Put the vectors of `cpu` onto the card with this number, in the way that is faster there."""
        indexes = [flat_on(device)]
        if cpu.index.ntotal >= LEAST_LISTED:
            indexes.append(listed_on(device))
        chosen = choose(indexes, cpu.index)
        kind = f"{chosen.nprobe} of {LISTS} lists" if chosen.nprobe else "all items"
        log.info("candidates: card %d reads %s: recall %.3f, %.2f ms", device, kind, chosen.recall, chosen.ms)
        return cls.of(cpu, chosen)

    def prepared(self, queries: np.ndarray) -> Sequence[Search]:
        """Ask the card for all queries (Q, 128) at once; the filters come with the calls of what is returned."""
        if self.card is None:
            return super().prepared(queries)
        found = zip(queries, *self.card.nearest(queries, min(NEAREST, self.index.ntotal)), strict=True)
        return [self._filtering(query, rows, near) for query, rows, near in found]

    def _filtering(self, query: np.ndarray, rows: np.ndarray, near: np.ndarray) -> Search:
        def search(k: int, allowed: np.ndarray, count: int, hidden: int = 0) -> tuple[np.ndarray, np.ndarray]:
            kept = first_set(allowed, rows, k)
            if len(kept) < min(k, count):
                return self.search(query, k, allowed, count, hidden)
            found, similarity = np.full(k, NO_ITEM, np.int64), np.full(k, np.nan, np.float32)
            found[: len(kept)], similarity[: len(kept)] = rows[kept], near[kept]
            return found, similarity

        return search


def flat_on(device: int) -> Any:
    """An empty index on a card that compares everything, in half precision."""
    config = cards.GpuIndexFlatConfig()
    config.device, config.useFloat16 = device, True
    return cards.GpuIndexFlatIP(cards.StandardGpuResources(), EMBEDDING_DIM, config)


def listed_on(device: int) -> Any:
    """An empty index on a card with inverted lists, in half precision."""
    config = cards.GpuIndexIVFScalarQuantizerConfig()
    config.device = device
    kind, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    return cards.GpuIndexIVFScalarQuantizer(
        cards.StandardGpuResources(), EMBEDDING_DIM, LISTS, kind, metric, False, config
    )


def choose(indexes: Sequence[Any], vectors: Any, target: float = TARGET) -> Choice:
    """Fill empty `indexes` with what the index `vectors` holds and return the fastest that reaches the target."""
    swept = sweep(indexes, vectors, target)
    return min((one for one in swept if one.recall >= target), key=lambda one: one.ms)


def sweep(indexes: Sequence[Any], vectors: Any, target: float = TARGET) -> list[Choice]:
    """Fill empty `indexes` and find for each how many lists reach the target, and how long that takes.

    The first one reads everything: it is what recall is measured against.
    """
    rows = np.random.default_rng(0).permutation(vectors.ntotal)
    for index in indexes:
        if not index.is_trained:
            index.train(vectors.reconstruct_batch(np.sort(rows[:TRAINING])))
        for start in range(0, vectors.ntotal, BATCH):
            index.add(vectors.reconstruct_batch(np.arange(start, min(start + BATCH, vectors.ntotal))))
    queries = vectors.reconstruct_batch(rows[:QUERIES])
    exact, _ = nearest(indexes[0], queries, min(NEAREST, vectors.ntotal), 0)
    return [_cheapest(index, queries, exact, target) for index in indexes]


def nearest(index: Any, queries: np.ndarray, k: int, nprobe: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (Q, k) int64 and similarities (Q, k) float32; without `nprobe` for an index that has no lists."""
    parameters = cards.SearchParametersIVF(nprobe=nprobe) if nprobe else None
    similarity, rows = index.search(np.ascontiguousarray(queries, np.float32), k, params=parameters)
    return rows, similarity


def _cheapest(index: Any, queries: np.ndarray, exact: np.ndarray, target: float) -> Choice:
    """The fewest lists, doubling, that reach the target, or most of them."""
    most = min(getattr(index, "nlist", 0), NEAREST)
    nprobe = min(1, most)
    while True:
        rows, _ = nearest(index, queries, exact.shape[1], nprobe)
        recall = float(np.mean([np.isin(e, r).mean() for e, r in zip(exact, rows, strict=True)]))
        if recall >= target or nprobe >= most:
            return Choice(index, nprobe, recall, _ms(index, queries, exact.shape[1], nprobe))
        nprobe = min(2 * nprobe, most)


def _ms(index: Any, queries: np.ndarray, k: int, nprobe: int) -> float:
    """Median time of a batch."""
    spent = []
    for start in range(0, len(queries), USERS):
        began = time.perf_counter()
        nearest(index, queries[start : start + USERS], k, nprobe)
        spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent))
