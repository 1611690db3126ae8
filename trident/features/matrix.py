"""The matrix that the forest reads: one row of 120 float32 per candidate."""

from __future__ import annotations

import numpy as np

from trident.contract import CONTEXT_FEATURES, CROSS_FEATURES, FEATURES, ITEM_FEATURES, USER_FEATURES
from trident.features.cross import write_cross

_ITEMS = USER_FEATURES
_CONTEXT = _ITEMS + ITEM_FEATURES
_CROSS = _CONTEXT + CONTEXT_FEATURES


def feature_matrix(user: np.ndarray, items: np.ndarray, context: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """Feature rows of all candidates of B requests, request by request: (B·K, 120) float32, C-contiguous.

    `user` (B, 40), `items` (B, K, 40), `context` (B, 20), `similarity` (B, K), all float32. A candidate whose
    similarity is NaN is a pad: its row is all NaN.
    """
    requests, candidates = similarity.shape
    out = np.empty((requests, candidates, FEATURES), np.float32)
    out[:, :, :_ITEMS] = user[:, None, :]
    out[:, :, _ITEMS:_CONTEXT] = items
    out[:, :, _CONTEXT:_CROSS] = context[:, None, :]
    write_cross(out[:, :, _CROSS:], user, items, context, similarity)
    pads = np.isnan(similarity)
    if pads.any():
        out[pads] = np.nan
    return out.reshape(requests * candidates, _CROSS + CROSS_FEATURES)
