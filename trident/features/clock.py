"""Stored rows describe the time they were computed at; the clock moves them on to the time of a request."""

from __future__ import annotations

import numba
import numpy as np

from trident.features.registry import DAY, GROUPS, RECENCY_BINS, place

_CLOCKS = {group: np.array([i for i, f in enumerate(fs) if f.clock], np.int64) for group, fs in GROUPS.items()}
compiled = numba.njit(cache=True, nogil=True)

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
    moved = np.array(rows, np.float32)
    _advance(moved, _CLOCKS[group], np.broadcast_to(np.asarray(seconds, np.int64), len(moved)))
    if group == "user":
        moved[:, _RECENCY_BIN] = recency_bin(moved[:, _RECENCY])
    return moved


def advanced_items(items: np.ndarray, rows: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """What `advance` makes of the rows (m,) int64 of `items` (n, 40) float32, `seconds` (m,) int64: (m, 40) float32.

    A row of -1 gives NaN.
    """
    taken = np.empty((len(rows), items.shape[1]), np.float32)
    _take(taken, items, rows)
    _advance(taken, _CLOCKS["item"], seconds)
    return taken


@compiled
def _take(out, items, rows):
    for n, row in enumerate(rows):
        if row >= 0:
            out[n] = items[row]
        else:
            out[n] = np.nan


@compiled
def _advance(rows, clocks, seconds):
    for n in range(len(rows)):
        passed = max(seconds[n], 0)
        for clock in clocks:
            age = np.rint(np.float64(rows[n, clock]) * DAY)
            rows[n, clock] = (age + passed) / DAY
