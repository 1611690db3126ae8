"""The FAISS index over the item embeddings: kind and settings are chosen by measurement against exact search.

The FAISS id of an item is its row. Small catalogues are compared whole, which nothing beats.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from trident.contract import CANDIDATES_PER_USER, NO_ITEM
from trident.search import parameters
from trident_export.index_fill import Lists, filled
from trident_export.index_keep import kept
from trident_export.index_kinds import EXACT_BELOW, RECALL, Kind, checked, kinds_for
from trident_export.index_sweep import Choice, Point, Sweep, one_thread
from trident_export.index_truth import Embeddings, Truth, check

__all__ = ["Embeddings", "SearchSettings", "Trial", "build_index", "one_thread", "search", "write_index"]

QUERIES = 200  # measured at most
FILTERED = ("share", "recall", "p50_ms", "p99_ms")


@dataclass(frozen=True)
class SearchSettings:
    """How the index was made, how to search it, and what that gives; this is `search` in the manifest."""

    factory: str  # FAISS index factory
    nprobe: int  # inverted lists read per query without a filter; without meaning for a flat index
    k: int
    recall: float  # of the exact k nearest, mean over the queries, without a filter
    p50_ms: float  # one query on one thread
    p99_ms: float
    queries: int
    k_factor: float = 1.0  # times as many items are compared again as asked for; the index file has it too
    widening: float = 1.0  # a filter that leaves 1 item in n has n^widening times as many lists read
    filtered: tuple[dict[str, Any], ...] = ()  # what the settings give where a share of the items is allowed
    frontier: tuple[dict[str, Any], ...] = ()  # every point that was measured


def build_index(
    embeddings: Embeddings,
    queries: np.ndarray | None = None,
    *,
    recall: float = RECALL,
    kinds: Sequence[str] = (),
    exact_below: int = EXACT_BELOW,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> tuple[faiss.Index, SearchSettings]:
    """Index `embeddings` (N, 128) float32 under inner product, with the cheapest settings that reach `recall`.

    The recall is reached without a filter and with filters that take 10 % and 70 % of the items. Every embedding is
    asked for once or twice and dropped again. `queries` (Q, 128) float32 are user embeddings to measure with; without
    them item embeddings stand in. `kinds`, names of FAISS's index factory, are all tried and the fastest is taken;
    without them those that suit the number of items are tried until one reaches the recall. `say` is told what each
    part gave and cost. Returns the index and its settings, whose `recall` is below the target only when no settings
    reach it. Raises InvalidInput for an empty or ill-shaped array or an unknown kind, ReleaseError for NaN or infinite
    numbers.
    """
    tried = checked(kinds) or kinds_for(len(embeddings), exact_below)
    check("embeddings", embeddings[:1])
    rng = np.random.default_rng(seed)
    pool = embeddings if queries is None or not len(queries) else queries
    sample = np.ascontiguousarray(pool[rng.permutation(len(pool))[:QUERIES]])
    check("queries", sample)
    with kept(embeddings) as vectors:
        trial = Trial.of(vectors, sample, recall, rng, say or (lambda line: None))
        choices = []
        for kind in tried:
            choices.append(trial.choice(kind))
            if not kinds and choices[-1].recall >= recall:
                break
    best = _cheapest(choices, recall)
    return best.index.index, _described(best, [point for choice in choices for point in choice.points], trial.truth)


@dataclass
class Trial:
    """Builds one kind of index after the other, and measures each against the same exact search."""

    embeddings: Embeddings
    truth: Truth
    target: float  # recall
    rng: np.random.Generator
    say: Callable[[str], None]
    lists: dict[str, Lists] = field(default_factory=dict)  # the last ones, by `coarse` of the kinds that share them

    @classmethod
    def of(
        cls,
        embeddings: Embeddings,
        queries: np.ndarray,
        target: float,
        rng: np.random.Generator,
        say: Callable[[str], None],
    ) -> Trial:
        """Find what exact search gives."""
        with _told(say, f"exact search of {len(queries)} queries"):
            truth = Truth.of(embeddings, queries, CANDIDATES_PER_USER, int(rng.integers(1 << 30)))
        return cls(embeddings, truth, target, rng, say)

    def choice(self, kind: Kind) -> Choice:
        """Fill an index of a kind and find its cheapest settings."""
        lists = self._lists_of(kind) if kind.lists else None
        with _told(self.say, f"{kind.factory}: filling"):
            index = filled(kind, self.embeddings, lists, self.rng)
        with _told(self.say, f"{kind.factory}: measuring"):
            sweep = Sweep(kind.factory, index, self.truth, self.embeddings)
            best = _cheapest([sweep.choose(k_factor, self.target) for k_factor in kind.k_factors], self.target)
        if isinstance(index, faiss.IndexRefine):
            index.k_factor = best.k_factor
        how = f"nprobe {best.index.nprobe}, k_factor {best.k_factor:g}, widening {best.index.widening:g}"
        given = "; ".join(
            f"{p.share:.0%} allowed: recall {p.recall:.4f}, p50 {p.p50_ms:.2f} ms, processor {p.cpu_ms:.2f} ms"
            for p in best.given
        )
        self.say(f"{kind.factory}: {how}: {given}")
        return replace(best, points=tuple(sweep.points))

    def _lists_of(self, kind: Kind) -> Lists:
        if kind.coarse not in self.lists:
            with _told(self.say, f"{kind.lists} lists"):
                self.lists = {kind.coarse: Lists.learned(self.embeddings, kind, self.rng)}
        return self.lists[kind.coarse]


@contextmanager
def _told(say: Callable[[str], None], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    say(f"{what}: {time.perf_counter() - started:.1f} s")


def _cheapest(choices: Sequence[Choice], target: float) -> Choice:
    """The fastest that reaches the target; where none does, the one that comes nearest."""
    reached = [choice for choice in choices if choice.recall >= target]
    if reached:
        return min(reached, key=lambda choice: choice.cost)
    return max(choices, key=lambda choice: (choice.recall, -choice.cost))


def _described(best: Choice, points: Sequence[Point], truth: Truth) -> SearchSettings:
    plain, *filtered = best.given
    return SearchSettings(
        plain.factory,
        plain.nprobe,
        truth.filters[0].rows.shape[1],
        plain.recall,
        plain.p50_ms,
        plain.p99_ms,
        len(truth.queries),
        k_factor=best.k_factor,
        widening=best.index.widening,
        filtered=tuple({name: getattr(point, name) for name in FILTERED} for point in filtered),
        frontier=tuple(asdict(point) for point in points),
    )


def search(
    index: faiss.Index, queries: np.ndarray, k: int, *, nprobe: int = 1, selector: faiss.IDSelector | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest items for queries (Q, 128) float32, of those that `selector` allows.

    Returns rows (Q, k) int64 with -1 pads and similarities (Q, k) float32 with NaN pads, nearest first.
    """
    given = parameters(index, nprobe, selector)
    similarity, rows = index.search(np.ascontiguousarray(queries, np.float32), k, params=given)
    similarity[rows == NO_ITEM] = np.nan
    return rows, similarity


def write_index(index: faiss.Index, path: Path) -> None:
    """Write the index; `trident.search.ItemIndex` maps it into memory."""
    faiss.write_index(index, str(path))
