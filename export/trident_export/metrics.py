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


def gained_ndcg(gains: np.ndarray, ideal: np.ndarray) -> np.ndarray:
    """Discounted gain of lists over that of the ideal ones, from gains by place (Q, k): (Q,) float64, NaN without one.

    The gain of an item may be any number from 0 on; a place behind the end of a list has 0.
    """
    discounts = 1 / np.log2(np.arange(gains.shape[1]) + 2)
    found, best = gains @ discounts, ideal @ discounts
    return np.divide(found, best, out=np.full(len(gains), np.nan), where=best > 0)


def reciprocal_rank(ranked: np.ndarray, relevant: Sequence[np.ndarray]) -> np.ndarray:
    """One over the place of the first relevant item, 0 where there is none: (Q,) float64. Its mean is the MRR."""
    found = hits(ranked, relevant)
    return np.where(found.any(axis=1), 1 / (found.argmax(axis=1) + 1), 0.0)


def coverage(ranked: np.ndarray, items: int, k: int) -> float:
    """Share of the catalogue that is among the first k of any list."""
    shown = ranked[:, :k]
    return len(np.unique(shown[shown >= 0])) / items


def novelty_at(ranked: np.ndarray, clicks: np.ndarray, k: int) -> np.ndarray:
    """Mean surprise of the first k, in bits: (Q,) float64, NaN for an empty list.

    An item that `clicks` (n,) have c of C times has a surprise of -log2((c + 1) / (C + n)).
    """
    surprise = -np.log2((clicks + 1) / (clicks.sum() + len(clicks)))
    return _mean_where(surprise[np.maximum(ranked[:, :k], 0)], ranked[:, :k] >= 0)


def diversity_at(ranked: np.ndarray, category: np.ndarray, k: int) -> np.ndarray:
    """Share of the pairs among the first k whose items differ in `category` (n,): (Q,) float64, NaN below 2 items."""
    shown = ranked[:, :k]
    kind = np.where(shown >= 0, category[np.maximum(shown, 0)], 0)
    pairs = (shown[:, :, None] >= 0) & (shown[:, None, :] >= 0) & ~np.eye(shown.shape[1], dtype=bool)
    differ = kind[:, :, None] != kind[:, None, :]
    return _mean_where(differ.reshape(len(shown), -1), pairs.reshape(len(shown), -1))


def _mean_where(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Mean of the counted values of each row (Q, m), NaN where none is."""
    sums, counts = (values * counted).sum(axis=1), counted.sum(axis=1)
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def calibration(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> np.ndarray:
    """Bins of about equal size in order of probability: rows of (mean probability, share of 1 among the labels, size).

    Fewer bins than asked for when there are fewer rows.
    """
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return np.array([(probabilities[p].mean(), labels[p].mean(), len(p)) for p in parts]).reshape(-1, 3)


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> float:
    """Mean distance between probability and what came true, over `calibration` bins weighted by size; NaN for none."""
    found = calibration(labels, probabilities, bins)
    return float(np.average(np.abs(found[:, 0] - found[:, 1]), weights=found[:, 2])) if len(found) else float("nan")


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
