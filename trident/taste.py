"""Taste: the mean vector of the items that a user clicked or bought last, defined once for training and serving."""

from __future__ import annotations

import numpy as np

from trident.errors import InvalidInput
from trident.stored_rows import StoredRows


def pool(history: np.ndarray, vectors: np.ndarray | StoredRows) -> np.ndarray:
    """Average the vectors of each user's known items.

    `history` (B, H) int64 holds item rows, any negative number pads, in any place. `vectors` (N, D) float16 or float32
    may be mapped or stored: only the rows asked for are read. Returns (B, D) float32, zeros for a user with no
    known item. Raises InvalidInput when a row is N or more.
    """
    known = history >= 0
    rows = history[known]
    if len(rows) and rows.max() >= len(vectors):
        raise InvalidInput(f"taste: history: expected item rows below {len(vectors)}, got {rows.max()}")
    padded = np.zeros((*history.shape, vectors.shape[1]), np.float32)
    padded[known] = vectors[rows]
    counts = np.maximum(known.sum(axis=1, keepdims=True), 1)
    return padded.sum(axis=1) / counts.astype(np.float32)
