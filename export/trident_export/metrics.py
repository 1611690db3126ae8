"""Metrics of ranked lists and of probabilities, each a few lines over arrays.

Ranked lists are (Q, L) int64 item rows, best first, -1 pads. `relevant` holds for every query the distinct rows that
count as right. A query without relevant items has no recall: leave it out before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_SMALLEST = 1e-15  # of a probability, as in scikit-learn: log loss stays finite


def hits(ranked: np.ndarray, relevant: Sequence[np.ndarray]) -> np.ndarray:
    """Where a ranked list holds a relevant item: (Q, L) bool."""
    found = [np.isin(row, rows) for row, rows in zip(ranked, relevant, strict=True)]
    return np.array(found, bool).reshape(ranked.shape) & (ranked >= 0)


def recall_at(ranked: np.ndarray, relevant: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Share of the relevant items among the first k: (Q,) float64."""
    return hits(ranked[:, :k], relevant).sum(axis=1) / np.array([len(r) for r in relevant])


def ndcg_at(ranked: np.ndarray, relevant: Sequence[np.ndarray], k: int) -> np.ndarray:
    """Discounted gain of the first k over that of a perfect list, gain 1 per relevant item: (Q,) float64."""
    discounts = 1 / np.log2(np.arange(k) + 2)
    found = hits(ranked[:, :k], relevant)
    ideal = np.array([discounts[: len(r)].sum() for r in relevant])
    return (found * discounts[: found.shape[1]]).sum(axis=1) / ideal


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Probability that a positive (n,) scores above a negative, ties count half; NaN when one kind is missing."""
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    _, group, sizes = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(sizes) - (sizes - 1) / 2)[group]
    return float((ranks[labels > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def log_loss(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Mean negative log likelihood of `labels` (n,) of 0 and 1."""
    p = np.clip(probabilities.astype(np.float64), _SMALLEST, 1 - _SMALLEST)
    return float(-np.mean(np.where(labels > 0, np.log(p), np.log1p(-p))))
