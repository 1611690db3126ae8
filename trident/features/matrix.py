"""The matrix that the forest reads: one row of 120 float32 per candidate."""

from __future__ import annotations

import numpy as np

from trident.contract import FEATURES
from trident.features.cross import AT, write_rows


def feature_matrix(user: np.ndarray, items: np.ndarray, context: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Feature rows of all candidates of B requests, request by request: (B·K, 120) float32, C-contiguous.

    `user` (B, 40), `items` (B, K, 40), `context` (B, 20), `similarity` (B, K), all float32. A candidate whose
    similarity is NaN is a pad: its row is all NaN, and what its item row holds counts for nothing.
    """
    out = np.empty((*similarity.shape, FEATURES), np.float32)
    write_rows(out, user, items, context, similarity, AT)
    return out.reshape(-1, FEATURES)
