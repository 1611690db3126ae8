"""What users of a synthetic marketplace get to see: the other half of how its clicks come about, beside `Truth`."""

from __future__ import annotations

import numpy as np

from trident_export.data.sessions import BY_POPULARITY, DRAWN_BY_TASTE, SHOWN
from trident_export.data.truth import Truth


def exposure(truth: Truth, user: int, at: int) -> np.ndarray:
    """How likely a view of this user (a row) at this unix second is one of each item: (I,) float64, sums to about 1.

    Age limits and blocked regions are left out. Of a glance at SHOWN items the one that is viewed is known only as an
    average over the others: an approximation, as if these were all equally attractive.
    """
    weight = truth.prominence(at)
    pull = np.exp(DRAWN_BY_TASTE * (truth.item_vectors @ truth.user_vectors[user]).astype(np.float64))
    seen = BY_POPULARITY * weight / weight.sum()
    for category, share in zip(truth.favourites[user].tolist(), truth.shares[user].tolist(), strict=True):
        begin, end = np.searchsorted(truth.category, (category, category + 1))
        inside = slice(begin, end)
        drawn = weight[inside] / (weight[inside].sum() or 1)
        usual = drawn @ pull[inside]
        seen[inside] += (
            (1 - BY_POPULARITY) * share * drawn * SHOWN * pull[inside] / (pull[inside] + (SHOWN - 1) * usual)
        )
    return seen
