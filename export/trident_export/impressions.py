"""Impressions drawn evenly from the log: what a click probability is measured on, and made right with.

The rows that the forest learns from hold clicks more often than impressions do, and retrieved items that nobody saw.
"""

from __future__ import annotations

import numpy as np

from trident.contract import CANDIDATES_PER_USER, FEATURES
from trident.features.registry import ALL
from trident_export.event_log import Log, Requests
from trident_export.ground import Ground
from trident_export.moments import matrices
from trident_export.ranker import RankerRows
from trident_export.retrieval import embed, places, similarities
from trident_export.towers import Towers

PLACE = next(column for column, feature in enumerate(ALL) if feature.name == "cross_retrieval_rank")
_TIMES = np.int64(1) << 40  # more seconds than any timestamp


def impression_rows(
    ground: Ground, towers: Towers, window: tuple[int, int], most: int, seconds: int, rng: np.random.Generator
) -> RankerRows:
    """Rows of views in the window, of items new to their user; 1 where a click follows in `seconds`.

    Of `most` views at most, those remain whose item would have been a candidate: the forest scores nothing else.

    A row's `request` is its user. Users are as of the view, items have the vectors of the window's begin. There may be
    no rows.
    """
    log = ground.log
    at = new_views(log, window)
    at = at if len(at) <= most else np.sort(rng.choice(at, most, replace=False))
    requests, items = Requests.at(log, at), log.item[at][:, None]
    scene = ground.moments.scene(requests)
    users, embeddings = embed(towers, scene), towers.item_embeddings(ground.items.all_at(window[0]))
    near = similarities(users, embeddings, items)
    blocks = [matrix[:, 0] for _, matrix in matrices(scene, ground.items, items, near)]
    features = np.concatenate([np.empty((0, FEATURES), np.float32), *blocks])
    place = places(users, embeddings, log.touched(requests), log.item[at])
    features[:, PLACE] = place
    labels, kept = clicked_after(log, at, seconds, window[1]), np.flatnonzero(place < CANDIDATES_PER_USER)
    return RankerRows(features[kept], labels[kept], log.user[at[kept]], np.ones(len(kept), bool))


def new_views(log: Log, window: tuple[int, int]) -> np.ndarray:
    """Positions of the views in the window whose item the user had no event with before that second."""
    pair = _pair_codes(log)
    order = np.lexsort((log.time, pair))
    begins = np.ones(len(order), bool)
    begins[1:] = np.diff(pair[order]) != 0
    first = np.empty(len(order), np.int64)
    first[order] = log.time[order][begins][np.cumsum(begins) - 1]
    inside = (log.time >= window[0]) & (log.time < window[1])
    return np.flatnonzero(log.viewed & inside & (first == log.time))


def clicked_after(log: Log, at: np.ndarray, seconds: int, end: int) -> np.ndarray:
    """Whether the items of the events at positions `at` (m,) are clicked in the `seconds` after: (m,) int8."""
    pair = _pair_codes(log)
    clicks = np.sort(pair[log.positive] * _TIMES + log.time[log.positive])
    begin, until = log.time[at], np.minimum(log.time[at] + seconds, end)
    found = np.searchsorted(clicks, pair[at] * _TIMES + begin) < np.searchsorted(clicks, pair[at] * _TIMES + until)
    return found.astype(np.int8)


def _pair_codes(log: Log) -> np.ndarray:
    """A number for each pair of user and item in the log, (n,) int64, small enough to be put before a time."""
    width = int(log.item.max(initial=0)) + 1
    return np.unique(log.user * width + log.item, return_inverse=True)[1].reshape(-1)
