"""Diversity: at most so many items of one category, relaxed only to fill an answer."""

from __future__ import annotations

import numpy as np

from trident.rules.config import Rules


def category_caps(rules: Rules, categories: tuple[str, ...]) -> np.ndarray:
    """The cap per category code: (c + 1,) int64; the last is for the code -1, items of unknown category."""
    caps = [rules.max_in.get(name, rules.max_per_category) for name in categories]
    return np.array([*caps, rules.max_per_category], np.int64)
