"""Maximal marginal relevance: the next item is good, and unlike those already taken.

Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries",
SIGIR 1998. With the strength s = 1 − λ, the next of the items i that are left, after the taken ones T, is

    argmax  (1 − s) · score(i) / best score  −  s · max over t in T of max(0, cosine(i, t))

Both parts are from 0 to 1. An item without a vector is like no other.
"""

from __future__ import annotations

import numpy as np


def marginal_order(
    scores: np.ndarray, vectors: np.ndarray, categories: np.ndarray, caps: np.ndarray, taken: np.ndarray, picks: int,
    strength: float,
) -> np.ndarray:  # fmt: skip
    """Positions of m items: the `picks` that are best in turn, within the cap of their category, then the others.

    `scores` (m,) ≥ 0, `vectors` (m, d) of any length, `categories` (m,), `caps` (m,) per item, `taken` positions
    (t,) that have their place already and come first. Others keep their order. Returns (m,) int64.
    """
    closeness = np.maximum(cosines(vectors), 0)
    gain = (1 - strength) * scores / max(float(scores.max(initial=0)), 1e-30)
    likeness = closeness[taken].max(axis=0, initial=0)
    order = taken.tolist()
    left = dict(zip(categories.tolist(), caps.tolist(), strict=True))
    for position in order:
        _leave(position, gain, categories, left)
    for _ in range(picks - len(order)):
        best = int((gain - strength * likeness).argmax())
        if gain[best] == -np.inf:
            break
        order.append(best)
        _leave(best, gain, categories, left)
        np.maximum(likeness, closeness[best], out=likeness)
    others = np.ones(len(scores), bool)
    others[order] = False
    return np.concatenate([np.array(order, np.int64), np.flatnonzero(others)])


def _leave(position: int, gain: np.ndarray, categories: np.ndarray, left: dict[int, int]) -> None:
    """Take an item out of the choice, and its category when that is full."""
    gain[position] = -np.inf
    category = int(categories[position])
    left[category] -= 1
    if left[category] == 0:
        gain[categories == category] = -np.inf


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosine of each pair of vectors (m, d): (m, m) float32; 0 for a vector of length 0."""
    vectors = vectors.astype(np.float32)
    length = np.sqrt(np.einsum("md,md->m", vectors, vectors))
    unit = vectors / np.maximum(length, 1e-12)[:, None]
    return unit @ unit.T
