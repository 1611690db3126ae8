"""Filling an index: lists first, which several kinds of codes may share, then the codes, a batch of items at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np

from trident.contract import EMBEDDING_DIM
from trident_export.index_kinds import Kind
from trident_export.index_truth import Embeddings, batches

VECTORS_PER_LIST, MOST_VECTORS = 64, 400_000  # that lists are learned from
ROUNDS = 8  # of k-means
CODE_VECTORS = 200_000  # that codes are learned from, at most
NEIGHBOURS = 32  # of a list, in a graph over the lists
GROUPS_READ = 16  # at least: of 112 over 12,649 lists, they hold 99.97 % of the 38 nearest to a query
FAST_SCAN = "fs"  # codes in blocks of 32 items, which have to find the lists of items themselves


@dataclass(frozen=True)
class Lists:
    """L inverted lists: what finds the nearest ones, and the one of each item."""

    quantizer: Any
    of_row: np.ndarray  # (N,) int32

    @classmethod
    def learned(cls, embeddings: Embeddings, kind: Kind, rng: np.random.Generator) -> Lists:
        """Cluster a sample on the unit sphere, and give every item the nearest list."""
        wanted = min(VECTORS_PER_LIST * kind.lists, MOST_VECTORS)
        means: Any = faiss.Kmeans(
            EMBEDDING_DIM,
            kind.lists,
            niter=ROUNDS,
            spherical=True,
            seed=int(rng.integers(1 << 30)),
            min_points_per_centroid=1,
            max_points_per_centroid=wanted,
        )
        means.train(sampled(embeddings, wanted, rng))
        quantizer = _grouped(means.centroids, kind.groups) if kind.groups else faiss.IndexFlatIP(EMBEDDING_DIM)
        quantizer.add(means.centroids)
        of_row = np.empty(len(embeddings), np.int32)
        for rows, batch in batches(embeddings):
            of_row[rows] = quantizer.search(batch, 1)[1][:, 0]
        return cls(_graph(means.centroids) if kind.graph else quantizer, of_row)


def filled(kind: Kind, embeddings: Embeddings, lists: Lists | None, rng: np.random.Generator) -> Any:
    """An index of a kind with all items; `lists` are of that kind too, None for one that has none."""
    if lists is None:
        index = faiss.index_factory(EMBEDDING_DIM, kind.factory, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.index_factory(EMBEDDING_DIM, f"IVF{kind.lists},{kind.codes}", faiss.METRIC_INNER_PRODUCT)
        _take(index, lists.quantizer)
    refine = faiss.index_factory(EMBEDDING_DIM, kind.refine, faiss.METRIC_INNER_PRODUCT) if kind.refine else None
    if not (index.is_trained and (refine is None or refine.is_trained)):
        sample = sampled(embeddings, CODE_VECTORS, rng)
        index.train(sample)
        if refine is not None:
            refine.train(sample)
    for rows, batch in batches(embeddings):
        _add(index, rows, batch, None if FAST_SCAN in kind.codes else lists)
        if refine is not None:
            refine.add(batch)
    return index if refine is None else _refined(index, refine)


def sampled(embeddings: Embeddings, most: int, rng: np.random.Generator) -> np.ndarray:
    """The embeddings of some items, in the order of their rows: (m, 128) float32."""
    rows = np.sort(rng.permutation(len(embeddings))[:most])
    return np.ascontiguousarray(embeddings[rows])


def _grouped(centres: Any, groups: int) -> Any:
    """What finds lists by groups of them, without a list yet."""
    grouped: Any = faiss.index_factory(EMBEDDING_DIM, f"IVF{groups},Flat", faiss.METRIC_INNER_PRODUCT)
    grouped.cp.spherical = True
    grouped.train(centres)
    grouped.nprobe = min(GROUPS_READ, groups)
    grouped.make_direct_map()  # codes are differences from the centre of their list, which is asked for by its number
    return grouped


def _graph(centres: Any) -> Any:
    graph = faiss.IndexHNSWFlat(EMBEDDING_DIM, NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = 80
    graph.add(centres)
    return graph


def _take(index: Any, quantizer: Any) -> None:
    """Have an index own a copy of the quantizer."""
    copy: Any = faiss.clone_index(quantizer)
    index.quantizer, index.own_fields = copy, True
    copy.this.disown()


def _add(index: Any, rows: slice, batch: np.ndarray, lists: Lists | None) -> None:
    if lists is None:
        index.add(batch)
        return
    ids, of_row = np.arange(rows.start, rows.stop), lists.of_row[rows].astype(np.int64)
    index.add_core(len(batch), *(faiss.swig_ptr(array) for array in (batch, ids, of_row)))


def _refined(base: Any, refine: Any) -> Any:
    index = faiss.IndexRefine(base, refine)
    index.own_fields = index.own_refine_index = True
    base.this.disown()
    refine.this.disown()
    return index
