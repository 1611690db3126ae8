"""The FAISS index over the item embeddings: exact for small catalogues, inverted lists for large ones.

The FAISS id of an item is its row. Search settings are chosen by measurement against exact search.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np

from trident.contract import CANDIDATES_PER_USER, EMBEDDING_DIM, NO_ITEM
from trident.errors import InvalidInput, ReleaseError

EXACT_BELOW = 20_000  # items; up to here reading everything takes less than half a millisecond
MOST_LISTS = 4096
TRAINING_VECTORS_PER_LIST = 64
QUERIES = 200  # measured at most
CODES = ("SQ8", "SQfp16")  # the second, of twice the size, where 8 bits per number cannot reach the recall
TIE = 1e-6  # similarities this close to the last exact one count as found
BATCH = 1 << 17  # items that are embedded and added at once: 64 MB


class Embeddings(Protocol):
    """Item embeddings by row: an array (N, 128) float32, or something that makes the rows it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """The embeddings of a slice or an array of rows: (m, 128) float32."""


@dataclass(frozen=True)
class SearchSettings:
    """How the index was made, how to search it, and what that gives; this is `search` in the manifest."""

    factory: str  # FAISS index factory
    nprobe: int  # inverted lists read per query; without meaning for a flat index
    k: int
    recall: float  # of the exact k nearest, mean over the queries, without a filter
    p50_ms: float  # one query on one thread
    p99_ms: float
    queries: int


def build_index(
    embeddings: Embeddings,
    queries: np.ndarray | None = None,
    *,
    recall: float = 0.95,
    exact_below: int = EXACT_BELOW,
    seed: int = 0,
) -> tuple[faiss.Index, SearchSettings]:
    """Index `embeddings` (N, 128) float32 under inner product, with the cheapest settings that reach `recall`.

    The embeddings go into the index in batches, each asked for once and dropped again. `queries` (Q, 128) float32 are
    user embeddings to measure with; without them item embeddings stand in. Returns the index and its settings, whose
    `recall` is below the target only when no settings reach it. Raises InvalidInput for an empty or ill-shaped array
    and ReleaseError for NaN or infinite numbers.
    """
    _check("embeddings", embeddings[:1])
    rng = np.random.default_rng(seed)
    pool = embeddings if queries is None or not len(queries) else queries
    sample = np.ascontiguousarray(pool[rng.permutation(len(pool))[:QUERIES]])
    _check("queries", sample)
    for factory in _factories(len(embeddings), exact_below):
        index, exact = _filled(factory, embeddings, sample, rng)
        nprobe, reached = _cheapest(index, embeddings, sample, exact, recall)
        if reached >= recall:
            break
    p50, p99 = _latency(index, sample, exact.shape[1], nprobe)
    return index, SearchSettings(factory, nprobe, exact.shape[1], reached, p50, p99, len(sample))


def search(
    index: faiss.Index, queries: np.ndarray, k: int, *, nprobe: int = 1, selector: faiss.IDSelector | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest items for queries (Q, 128) float32, of those that `selector` allows.

    Returns rows (Q, k) int64 with -1 pads and similarities (Q, k) float32 with NaN pads, nearest first.
    """
    given: dict[str, Any] = {"sel": selector}
    kind = faiss.SearchParameters
    if hasattr(index, "nlist"):
        kind, given["nprobe"] = faiss.SearchParametersIVF, min(nprobe, index.nlist)
    parameters = kind(**given)
    similarity, rows = index.search(np.ascontiguousarray(queries, np.float32), k, params=parameters)
    similarity[rows == NO_ITEM] = np.nan
    return rows, similarity


def write_index(index: faiss.Index, path: Path) -> None:
    """Write the index; `trident.search.ItemIndex` maps it into memory."""
    faiss.write_index(index, str(path))


def exact_similarity(embeddings: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    """Similarities of the k nearest items by comparing with all: (Q, k) float32, best first."""
    similarity, _ = faiss.knn(queries, np.ascontiguousarray(embeddings), k, metric=faiss.METRIC_INNER_PRODUCT)
    return similarity


def nearest_of(parts: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Of similarities (Q, m) in several parts, the k largest: (Q, k) float32, best first."""
    return -np.sort(-np.concatenate(parts, axis=1), axis=1)[:, :k]


def measured_recall(rows: np.ndarray, embeddings: Embeddings, queries: np.ndarray, exact: np.ndarray) -> float:
    """Share of the exact k nearest that `rows` (Q, k) contain; ties with the k-th count, duplicates do not."""
    found = 0
    for query, mine, best in zip(queries, rows, exact, strict=True):
        unique = np.unique(mine[mine != NO_ITEM])
        found += int((embeddings[unique] @ query >= best[-1] - TIE).sum())
    return min(found / exact.size, 1.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Search as serving does: on one OpenMP thread."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _factories(items: int, exact_below: int) -> list[str]:
    if items < exact_below:
        return ["Flat"]
    lists = min(MOST_LISTS, round(4 * math.sqrt(items)))
    coarse = f"IVF{lists}_HNSW32" if lists == MOST_LISTS else f"IVF{lists}"
    return [f"{coarse},{codes}" for codes in CODES]


def _filled(
    factory: str, embeddings: Embeddings, queries: np.ndarray, rng: np.random.Generator
) -> tuple[faiss.Index, np.ndarray]:
    """A trained index with all items, and the similarities of the exact k nearest of `queries`: (Q, k), best first."""
    index = faiss.index_factory(EMBEDDING_DIM, factory, faiss.METRIC_INNER_PRODUCT)
    if not index.is_trained:
        wanted = min(len(embeddings), TRAINING_VECTORS_PER_LIST * getattr(index, "nlist", 1))
        index.train(np.ascontiguousarray(embeddings[np.sort(rng.permutation(len(embeddings))[:wanted])]))
    k = min(CANDIDATES_PER_USER, len(embeddings))
    exact = np.empty((len(queries), 0), np.float32)
    for start in range(0, len(embeddings), BATCH):
        batch = np.ascontiguousarray(embeddings[start : start + BATCH])
        _check("embeddings", batch)
        index.add(batch)
        exact = nearest_of([exact, exact_similarity(batch, queries, min(k, len(batch)))], k)
    return index, exact


def _cheapest(
    index: faiss.Index, embeddings: Embeddings, queries: np.ndarray, exact: np.ndarray, target: float
) -> tuple[int, float]:
    """The smallest nprobe, in steps of about a fifth, whose recall reaches the target, and that recall."""
    lists, nprobe = getattr(index, "nlist", 1), 1
    while True:
        rows, _ = search(index, queries, exact.shape[1], nprobe=nprobe)
        recall = measured_recall(rows, embeddings, queries, exact)
        if recall >= target or nprobe >= lists:
            return nprobe, recall
        nprobe = min(lists, max(nprobe + 1, round(nprobe * 1.2)))


def _latency(index: faiss.Index, queries: np.ndarray, k: int, nprobe: int) -> tuple[float, float]:
    """Median and 99th percentile of single searches on one thread, milliseconds."""
    taken = []
    with one_thread():
        for query in queries:
            started = time.perf_counter()
            search(index, query[None], k, nprobe=nprobe)
            taken.append(1000 * (time.perf_counter() - started))
    return round(float(np.percentile(taken, 50)), 3), round(float(np.percentile(taken, 99)), 3)


def _check(name: str, array: np.ndarray) -> None:
    if array.ndim != 2 or array.shape[1] != EMBEDDING_DIM or array.dtype != np.float32 or not len(array):
        expected = f"[1 or more, {EMBEDDING_DIM}] float32"
        raise InvalidInput(f"index: {name}: expected {expected}, got {list(array.shape)} {array.dtype}")
    if not np.isfinite(array).all():
        raise ReleaseError(f"index: {name} hold NaN or infinite numbers; the towers did not train well")
