"""What a recommender has to beat, and what it falls back to: the items that most people clicked."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from trident_export.event_log import Log

HALF_LIFE = 7 * 86_400  # seconds after which a click counts half in `recently_popular`
EVERYBODY = 3_000.0  # recent clicks in a region that weigh as much there as those of all regions together
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


def popular_by_region(
    log: Log, before: int, items: int, home: np.ndarray, regions: int, most: int, half_life: float = HALF_LIFE
) -> np.ndarray:
    """The recently popular items of everybody, then of each region: (1 + regions, p) int64 rows, p = min(most, items).

    A click counts where it was made, or in its user's region `home` (users,) when that is unknown. Everybody's clicks
    count a little everywhere, so that a region with few of its own has a list as well.
    """
    everybody = recently_popular(log, before, items, half_life)[:most]
    counted = log.where(log.positive & (log.time < before))
    where = np.where(counted.region < 0, home[counted.user], counted.region)
    order = np.argsort(where, kind="stable")
    bounds = np.searchsorted(where[order], np.arange(regions + 1))
    item, weight = counted.item[order], np.exp2((counted.time[order] - before) / half_life)
    share = np.bincount(item, weight, minlength=items) / max(weight.sum(), np.finfo(float).tiny)
    parts = [slice(begin, end) for begin, end in pairwise(bounds.tolist())]
    return np.stack([everybody, *(_most(everybody, share, item[part], weight[part]) for part in parts)])


def _most(everybody: np.ndarray, share: np.ndarray, item: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """As many rows as in `everybody` (p,): the most popular by a region's clicks (m,) and everybody's `share` (n,)."""
    rows = np.concatenate([everybody, np.setdiff1d(item, everybody)])
    order = np.argsort(rows)
    place = order[np.searchsorted(rows, item, sorter=order)]
    score = np.bincount(place, weight, minlength=len(rows)) + EVERYBODY * share[rows]
    return rows[np.argsort(-score, kind="stable")][: len(everybody)]


def without_touched(order: np.ndarray, touched: list[np.ndarray], k: int) -> np.ndarray:
    """The first k of `order` that each user has not touched: (q, k) int64, -1 pads."""
    lists = np.full((len(touched), k), -1, np.int64)
    for row, rows in enumerate(touched):
        left = order[~np.isin(order, rows)][:k]
        lists[row, : len(left)] = left
    return lists
