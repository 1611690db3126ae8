"""What each user clicked or bought last, as of a time."""

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
    counts; within a second the higher row goes first.
    """
    users = user_ids if isinstance(user_ids, pa.Array) else pa.array(user_ids, pa.string())
    known = pc.unique(users)
    user, second, item = _taste_log(dataset, known, item_index)
    asked = pc.index_in(users, known).to_numpy().astype(np.int64)
    return last_items(user, second, item, asked, np.asarray(timestamps, np.int64), length)


def last_items(
    user: np.ndarray, second: np.ndarray, item: np.ndarray, asked: np.ndarray, timestamps: np.ndarray, length: int
) -> np.ndarray:
    """The same over arrays of int64: events `user`, `second`, `item` (n,) in any order, `asked`, `timestamps` (R,)."""
    order = np.lexsort((item, second, user))
    user, second, item = user[order], second[order], item[order]
    ends, starts = _ends(user, second, asked, timestamps), np.searchsorted(user, asked)
    rows = np.full((len(asked), length), NO_ITEM, np.int64)
    for row, start, end in zip(rows, starts.tolist(), ends.tolist(), strict=True):
        last = _last_distinct(item, start, end, length)
        row[: len(last)] = last
    return rows


def _ends(user: np.ndarray, second: np.ndarray, asked: np.ndarray, timestamps: np.ndarray) -> np.ndarray:
    """Where the events of each asked user from its timestamp on begin, (R,) int64; events sorted by user, second."""
    first = min(second.min(initial=0), timestamps.min(initial=0))
    span = max(second.max(initial=0), timestamps.max(initial=0)) - first + 1
    return np.searchsorted(user * span + (second - first), asked * span + (timestamps - first))


def _last_distinct(item: np.ndarray, start: int, end: int, length: int) -> list[int]:
    seen: dict[int, None] = {}
    while end > start and len(seen) < length:  # blocks, as repeats may push the last distinct ones far back
        begin = max(start, end - 2 * length)
        seen.update(dict.fromkeys(item[begin:end][::-1].tolist()))
        end = begin
    return list(seen)[:length]


def _taste_log(
    dataset: Dataset, users: pa.Array, item_index: Mapping[str, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User (place in `users`), second and item row of the taste events, (n,) int64 each."""
    columns = ["user_id", "item_id", "timestamp"]
    table = pq.read_table(dataset.events, columns=columns, filters=pc.field("event_type").isin(TASTE_EVENTS))
    items = table["item_id"].combine_chunks().dictionary_encode()
    rows = np.array([item_index.get(i, NO_ITEM) for i in items.dictionary.to_pylist()], np.int64)
    item = rows[items.indices.to_numpy()] if len(rows) else np.empty(0, np.int64)
    user = pc.index_in(table["user_id"].combine_chunks(), users).fill_null(-1).to_numpy().astype(np.int64)
    second = table["timestamp"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000
    keep = (item != NO_ITEM) & (user >= 0)
    return user[keep], second[keep], item[keep]
