"""What a filter costs in time and recall: the search of serving, and one that reads the same lists whatever the filter.

    python benchmarks/filtered_search.py

Clustered vectors; filters keep a share of all items at random. Recall is of the exact nearest allowed items.
`docs/benchmarks/filtered.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import faiss
import numpy as np

from trident.contract import CANDIDATES_PER_USER, EMBEDDING_DIM
from trident.search import ItemIndex
from trident_export.index import build_index, search, write_index

CLUSTERS, SPREAD, QUERIES = 256, 0.8, 200
SHARES = (1, 0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001)


def main() -> None:
    """Print a row per share of allowed items."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=100_000)
    items, rng = parser.parse_args().items, np.random.default_rng(3)
    centres = rng.normal(size=(CLUSTERS, EMBEDDING_DIM))
    vectors, queries = (drawn(centres, n, rng) for n in (items, QUERIES))
    made, settings = build_index(vectors, queries)
    with tempfile.TemporaryDirectory(prefix="trident-search-") as folder:
        write_index(made, Path(folder) / "index.faiss")
        index = ItemIndex.open(Path(folder) / "index.faiss", settings.nprobe, items, settings.widening)
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}")
    how = f"{settings.factory}, nprobe {settings.nprobe}, widening {settings.widening}"
    print(f"{items:,} items, {how}, k {CANDIDATES_PER_USER}, one thread")
    print("allowed   the same lists: p50 ms, found, recall     serving: p50 ms, found, recall")
    for share in SHARES:
        allowed = rng.random(items) < share
        columns = [measured(ways, vectors, queries, allowed) for ways in (same_lists(index), serving(index))]
        print(f"{allowed.sum():7,}", *(f"{p50:19.2f} {found:9.1f} {recall:7.3f}" for p50, found, recall in columns))


def drawn(centres: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """Unit vectors around the centres."""
    made = centres[rng.integers(0, CLUSTERS, n)] + SPREAD * rng.normal(size=(n, EMBEDDING_DIM))
    return np.ascontiguousarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


Search = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Query, bitmap and number of allowed items → rows."""


def same_lists(index: ItemIndex) -> Search:
    """The lists that a search without a filter reads."""

    def rows(query: np.ndarray, bitmap: np.ndarray, count: int) -> np.ndarray:
        selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        return search(index.index, query[None], CANDIDATES_PER_USER, nprobe=index.nprobe, selector=selector)[0][0]

    return rows


def serving(index: ItemIndex) -> Search:
    """What a request does."""
    return lambda query, bitmap, count: index.search(query, CANDIDATES_PER_USER, bitmap, count)[0]


def measured(
    rows_of: Search, vectors: np.ndarray, queries: np.ndarray, allowed: np.ndarray
) -> tuple[float, float, float]:
    """Median milliseconds, mean number of items found, and recall."""
    bitmap, rows = np.packbits(allowed, bitorder="little"), np.flatnonzero(allowed)
    k, spent, found, hits = min(CANDIDATES_PER_USER, len(rows)), [], 0, 0
    for query in queries:
        started = time.perf_counter()
        mine = rows_of(query, bitmap, len(rows))
        spent.append(1000 * (time.perf_counter() - started))
        mine = mine[mine >= 0]
        best = np.partition(vectors[rows] @ query, -k)[-k]
        found += len(mine)
        hits += int((vectors[mine] @ query >= best - 1e-6).sum())
    return float(np.median(spent)), found / len(queries), hits / (k * len(queries))


if __name__ == "__main__":
    main()
