"""Retrieval with trained towers, as of moments of the log: exact for ranker rows, by the index for evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np

from trident.contract import NO_ITEM
from trident.taste import pool
from trident_export.index import search
from trident_export.moments import Scene
from trident_export.towers import Towers

SCORES_AT_ONCE = 16_000_000  # 64 MB of float32


@dataclass(frozen=True)
class Retrieved:
    """Nearest items of each request, nearest first: arrays (q, K)."""

    rows: np.ndarray  # int64, -1 pads
    similarity: np.ndarray  # float32, NaN pads


def embed(towers: Towers, scene: Scene) -> np.ndarray:
    """User embeddings of a scene: (q, 128) float32."""
    return towers.user_embeddings(scene.users, pool(scene.histories, towers.item_vectors))


def nearest(users: np.ndarray, items: np.ndarray, left_out: Sequence[np.ndarray], k: int) -> Retrieved:
    """The k items of largest inner product for `users` (q, d) among `items` (n, d), without the rows in `left_out`."""
    rows = np.full((len(users), k), NO_ITEM, np.int64)
    similarity = np.full((len(users), k), np.nan, np.float32)
    step = max(1, SCORES_AT_ONCE // max(len(items), 1))
    for start in range(0, len(users), step):
        scores = users[start : start + step] @ items.T
        for query, row in enumerate(scores, start):
            row[left_out[query]] = -np.inf
            found = _best(row, k)
            rows[query, : len(found)] = found
            similarity[query, : len(found)] = row[found]
    return Retrieved(rows, similarity)


def places(users: np.ndarray, items: np.ndarray, left_out: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """The place of one item each in the list of `nearest`: `rows` (q,) → (q,) int64, 0 the nearest."""
    found = np.empty(len(users), np.int64)
    step = max(1, SCORES_AT_ONCE // max(len(items), 1))
    for start in range(0, len(users), step):
        scores = users[start : start + step] @ items.T
        for query, row in enumerate(scores, start):
            own = row[rows[query]]
            row[left_out[query]] = -np.inf
            found[query] = (row > own).sum()
    return found


def _best(scores: np.ndarray, k: int) -> np.ndarray:
    found = np.argpartition(-scores, k - 1)[:k] if k < len(scores) else np.arange(len(scores))
    found = found[np.isfinite(scores[found])]
    return found[np.lexsort((found, -scores[found]))]


def search_index(
    index: faiss.Index, nprobe: int, users: np.ndarray, left_out: Sequence[np.ndarray], k: int
) -> Retrieved:
    """As `nearest`, with an index: what serving would retrieve for `users` (q, d) without the rows in `left_out`."""
    rows = np.full((len(users), k), NO_ITEM, np.int64)
    similarity = np.full((len(users), k), np.nan, np.float32)
    for query, without in enumerate(left_out):
        allowed = np.ones(index.ntotal, bool)
        allowed[without] = False
        bitmap = np.packbits(allowed, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bitmap), faiss.swig_ptr(bitmap))
        found = search(index, users[query : query + 1], k, nprobe=nprobe, selector=selector)
        rows[query], similarity[query] = found[0][0], found[1][0]
    return Retrieved(rows, similarity)


def similarities(users: np.ndarray, items: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Inner products of `users` (q, d) with the items at `rows` (q, W): (q, W) float32, NaN where it pads."""
    found = np.einsum("qd,qwd->qw", users, items[np.maximum(rows, 0)])
    return np.where(rows >= 0, found, np.float32(np.nan)).astype(np.float32)
