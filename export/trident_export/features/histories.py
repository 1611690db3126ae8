"""What each user clicked or bought last, as of a time, in the order that `trident.state.history` keeps in Redis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident.contract import NO_ITEM
from trident.features.registry import TASTE_EVENTS
from trident.users import HISTORY
from trident_export.data.dataset import Dataset
from trident_export.features.requests import Ids


def histories(
    dataset: Dataset, user_ids: Ids, timestamps: np.ndarray, item_index: Mapping[str, int], length: int = HISTORY
) -> np.ndarray:
    """Item rows of the last taste events in strictly earlier seconds: (R, length) int64, newest first, -1 pads.

    `item_index` maps item id to row; items that it lacks are left out. Of an item that comes again the latest time
    counts; within a second the greater id, compared as UTF-8, goes first.
    """
    return dated_histories(dataset, user_ids, timestamps, item_index, length)[0]


def dated_histories(
    dataset: Dataset, user_ids: Ids, timestamps: np.ndarray, item_index: Mapping[str, int], length: int = HISTORY
) -> tuple[np.ndarray, np.ndarray]:
    """The same, and the unix second of the latest event of each item: (R, length) int64, 0 pads."""
    users = user_ids if isinstance(user_ids, pa.Array) else pa.array(user_ids, pa.string())
    known = pc.unique(users)
    user, second, item, rows = _taste_log(dataset, known, item_index)
    asked = pc.index_in(users, known).to_numpy().astype(np.int64)
    found, seconds = last_items(user, second, item, asked, np.asarray(timestamps, np.int64), length)
    return np.append(rows, NO_ITEM)[found], seconds  # a pad takes the last, which is one too


def last_items(
    user: np.ndarray, second: np.ndarray, item: np.ndarray, asked: np.ndarray, timestamps: np.ndarray, length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same over arrays of int64: events `user`, `second`, `item` (n,) in any order, `asked`, `timestamps` (R,).

    Within a second the higher item goes first; -1 and 0 pad.
    """
    order = np.lexsort((item, second, user))
    user, second, item = user[order], second[order], item[order]
    ends, starts = _ends(user, second, asked, timestamps), np.searchsorted(user, asked)
    items = np.full((len(asked), length), NO_ITEM, np.int64)
    seconds = np.zeros((len(asked), length), np.int64)
    for row, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        last = _last_distinct(item, start, end, length)
        items[row, : len(last)], seconds[row, : len(last)] = item[last], second[last]
    return items, seconds


def _ends(user: np.ndarray, second: np.ndarray, asked: np.ndarray, timestamps: np.ndarray) -> np.ndarray:
    """Where the events of each asked user from its timestamp on begin, (R,) int64; events sorted by user, second."""
    first = min(second.min(initial=0), timestamps.min(initial=0))
    span = max(second.max(initial=0), timestamps.max(initial=0)) - first + 1
    return np.searchsorted(user * span + (second - first), asked * span + (timestamps - first))


def _last_distinct(item: np.ndarray, start: int, end: int, length: int) -> list[int]:
    """Where the last events of the last distinct items are, latest first."""
    seen: dict[int, int] = {}
    while end > start and len(seen) < length:  # blocks, as repeats may push the last distinct ones far back
        begin = max(start, end - 2 * length)
        seen = dict(zip(item[begin:end].tolist(), range(begin, end), strict=True)) | seen
        end = begin
    return sorted(seen.values(), reverse=True)[:length]


def _taste_log(
    dataset: Dataset, users: pa.Array, item_index: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """User (place in `users`), second and item of the taste events, (n,) int64 each, and the rows of these items.

    An item is its place among the ids in order, so that of two items the greater id is the higher number.
    """
    columns = ["user_id", "item_id", "timestamp"]
    table = pq.read_table(dataset.events, columns=columns, filters=pc.field("event_type").isin(TASTE_EVENTS))
    items = table["item_id"].combine_chunks().dictionary_encode()
    order = pc.array_sort_indices(items.dictionary).to_numpy().astype(np.int64)
    rows = np.array([item_index.get(i, NO_ITEM) for i in items.dictionary.take(order).to_pylist()], np.int64)
    item = np.argsort(order)[items.indices.to_numpy()] if len(rows) else np.empty(0, np.int64)
    user = pc.index_in(table["user_id"].combine_chunks(), users).fill_null(-1).to_numpy().astype(np.int64)
    second = table["timestamp"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000
    keep = (user >= 0) & (rows[item] != NO_ITEM)
    return user[keep], second[keep], item[keep], rows
