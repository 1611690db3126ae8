"""Item-kNN, ALS and BPR of the library `implicit`, fitted to the clicks before a moment: what the towers have to beat.

They know users and items by row alone, so they have nothing to say of users without a click before that moment.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
from scipy import sparse

from trident.contract import NO_ITEM
from trident_export.event_log import Log

Scores = Callable[[np.ndarray], np.ndarray]
"""Rows of users (q,) → scores of all items (q, n) float32."""

GRIDS: Mapping[str, Mapping[str, Sequence[Any]]] = {
    "item-kNN": {"kind": ("cosine", "bm25"), "neighbours": (20, 50, 200)},
    "ALS": {"factors": (8, 32, 64), "regularization": (1.0, 10.0), "alpha": (1.0, 10.0), "iterations": (10,)},
    "BPR": {"factors": (16, 64), "learning_rate": (0.05,), "regularization": (0.01, 0.05), "iterations": (60,)},
}
"""Method → setting → values; all combinations are tried on the validation window."""

USERS_AT_ONCE = 128
MOST_CLICKS = 1_000_000  # that a method learns from: the newest


def combinations(method: str) -> list[dict[str, Any]]:
    """All combinations of a method's grid."""
    grid = GRIDS[method]
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def clicks_before(log: Log, before: int, users: int, items: int) -> sparse.csr_matrix:
    """Who clicked or bought what before that second, of the MOST_CLICKS newest: (users, items) float32 of 0 and 1."""
    counted = np.flatnonzero(log.positive & (log.time < before))
    counted = counted[np.argsort(log.time[counted], kind="stable")][-MOST_CLICKS:]
    pairs = np.unique(np.stack([log.user[counted], log.item[counted]]), axis=1)
    ones = np.ones(pairs.shape[1], np.float32)
    return sparse.csr_matrix((ones, (pairs[0], pairs[1])), shape=(users, items))


def fit(method: str, settings: Mapping[str, Any], clicks: sparse.csr_matrix, seed: int = 0) -> Scores:
    """Fit one method with one combination of settings, on one thread: the same seed gives the same scores."""
    with _ready_to_fit():
        return (
            _fit_neighbours(settings, clicks) if method == "item-kNN" else _fit_factors(method, settings, clicks, seed)
        )


def _fit_neighbours(settings: Mapping[str, Any], clicks: sparse.csr_matrix) -> Scores:
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender

    kind = {"cosine": CosineRecommender, "bm25": BM25Recommender}[settings["kind"]]
    model = kind(K=settings["neighbours"], num_threads=1)
    model.fit(clicks, show_progress=False)
    return lambda users: (clicks[users] @ model.similarity).toarray().astype(np.float32)


def _fit_factors(method: str, settings: Mapping[str, Any], clicks: sparse.csr_matrix, seed: int) -> Scores:
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.cpu.bpr import BayesianPersonalizedRanking

    kind = {"ALS": AlternatingLeastSquares, "BPR": BayesianPersonalizedRanking}[method]
    model = kind(**settings, random_state=seed, num_threads=1)
    model.fit(clicks, show_progress=False)
    return lambda users: model.user_factors[users] @ model.item_factors.T


def best_of(
    scores: Scores,
    clicks: sparse.csr_matrix,
    users: np.ndarray,
    left_out: Sequence[np.ndarray],
    fallback: np.ndarray,
    k: int,
) -> np.ndarray:
    """The k items of highest score for `users` (q,) without the rows in `left_out`: (q, k) int64, -1 pads.

    Equal scores are in the order of `fallback` (n,), a list of all items; so it answers alone for users without clicks.
    """
    strangers = np.diff(clicks.indptr)[users] == 0
    lists = np.full((len(users), k), NO_ITEM, np.int64)
    for start in range(0, len(users), USERS_AT_ONCE):
        found = scores(users[start : start + USERS_AT_ONCE])[:, fallback]
        for query, row in enumerate(found, start):
            row = np.zeros_like(row) if strangers[query] else row
            free = ~np.isin(fallback, left_out[query])
            best = fallback[_first(np.where(free, row, -np.inf), min(k, int(free.sum())))]
            lists[query, : len(best)] = best
    return lists


def _first(scores: np.ndarray, k: int) -> np.ndarray:
    """Places of the k highest scores (n,), highest first, the first of equals first; k is at most n."""
    if k == 0:
        return np.empty(0, np.int64)
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    found = np.flatnonzero(scores >= least)
    return found[np.argsort(-scores[found], kind="stable")][:k]


@contextmanager
def _ready_to_fit() -> Iterator[None]:
    """Silence the advice of `implicit` on BLAS threads, which would be given at each fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
