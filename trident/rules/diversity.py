"""Diversity: at most so many items of one category, relaxed only to fill an answer."""

from __future__ import annotations

import numpy as np

from trident.rules.config import Rules


def category_caps(rules: Rules, categories: tuple[str, ...]) -> np.ndarray:
    """The cap per category code: (c + 1,) int64; the last is for the code -1, items of unknown category."""
    caps = [rules.max_in.get(name, rules.max_per_category) for name in categories]
    return np.array([*caps, rules.max_per_category], np.int64)


def within_cap(categories: np.ndarray, cap: int | np.ndarray) -> np.ndarray:
    """Which of the items (m,), taken in order, are among the first `cap` of their category: (m,) bool.

    `cap` is one number, or one per item (m,) that is the same for all items of a category.
    """
    order = np.argsort(categories, kind="stable")
    grouped = categories[order]
    place = np.arange(len(order)) - np.searchsorted(grouped, grouped)  # within the category
    within = np.empty(len(order), bool)
    within[order] = place < (cap if isinstance(cap, int) else cap[order])
    return within


def choose(within: np.ndarray, limit: int) -> np.ndarray:
    """Positions of at most `limit` items: those within the cap first, the others only to fill up."""
    kept, over = np.flatnonzero(within), np.flatnonzero(~within)
    return np.concatenate([kept[:limit], over[: max(limit - len(kept), 0)]])
