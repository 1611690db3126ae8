"""What a recommender has to beat, and what it falls back to: the items that most people clicked."""

from __future__ import annotations

import numpy as np

from trident_export.event_log import Log

HALF_LIFE = 7 * 86_400  # seconds after which a click counts half in `recently_popular`
HALF_LIFE_DAYS = (1, 3, 7, 14, 30)  # tried on the validation window, where it is a baseline


def clicks_of(log: Log, before: int, items: int) -> np.ndarray:
    """How often each item was clicked or bought before that second: (items,) int64."""
    return np.bincount(log.item[log.positive & (log.time < before)], minlength=items)


def most_popular(log: Log, before: int, items: int) -> np.ndarray:
    """All rows of the catalogue, (items,) int64, most clicked or bought before that second first; ties by row."""
    return np.argsort(-clicks_of(log, before, items), kind="stable")


def recently_popular(log: Log, before: int, items: int, half_life: float = HALF_LIFE) -> np.ndarray:
    """As `most_popular`, with clicks that lose half their weight every `half_life` seconds; ties by all-time clicks."""
    counted = log.positive & (log.time < before)
    weights = np.exp2((log.time[counted] - before) / half_life)
    recent = np.bincount(log.item[counted], weights, minlength=items)
    total = np.bincount(log.item[counted], minlength=items)
    return np.lexsort((-total, -recent))


def without_touched(order: np.ndarray, touched: list[np.ndarray], k: int) -> np.ndarray:
    """The first k of `order` that each user has not touched: (q, k) int64, -1 pads."""
    lists = np.full((len(touched), k), -1, np.int64)
    for row, rows in enumerate(touched):
        left = order[~np.isin(order, rows)][:k]
        lists[row, : len(left)] = left
    return lists
