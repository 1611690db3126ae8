"""Stored rows describe the time they were computed at; the clock moves them on to the time of a request."""

from __future__ import annotations

import numpy as np

from trident.features.registry import DAY, GROUPS, RECENCY_BINS, place

_CLOCKS = {group: np.array([i for i, f in enumerate(fs) if f.clock], np.int64) for group, fs in GROUPS.items()}
_RECENCY, _RECENCY_BIN = place("user_recency_days"), place("user_recency_bin")


def recency_bin(days: np.ndarray) -> np.ndarray:
    """Bins of days since the last event: 0 hot < 1, 1 warm < 7, 2 cool < 30, 3 cold, NaN stays; any shape, float32."""
    bins = np.digitize(days, RECENCY_BINS).astype(np.float32)
    return np.where(np.isnan(days), np.float32(np.nan), bins)


def advance(rows: np.ndarray, group: str, seconds: np.ndarray | int) -> np.ndarray:
    """Advance rows by the seconds that passed since they were computed.

    `rows` is (n, 40) float32 of the group "user" or "item", `seconds` (n,) int64 or one number for all; a negative
    number counts as 0. Returns new rows (n, 40) float32: clock columns grown, bins of them recomputed, all others
    as they were. Windows such as views_7d stay as of the row's own time. Whole seconds are kept exactly up to 97 days,
    beyond that to the last bit of float32.
    """
    clocks = _CLOCKS[group]
    passed = np.maximum(np.asarray(seconds, np.int64), 0).reshape(-1, 1)
    moved = np.array(rows, np.float32)
    age = np.rint(moved[:, clocks].astype(np.float64) * DAY)
    moved[:, clocks] = (age + passed) / DAY
    if group == "user":
        moved[:, _RECENCY_BIN] = recency_bin(moved[:, _RECENCY])
    return moved
