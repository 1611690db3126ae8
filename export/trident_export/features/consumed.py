"""What each user consumed before a time, by the types of events that the rules count."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident.users import Consumed
from trident_export.data.dataset import Dataset


def consumed(
    dataset: Dataset, user_ids: Sequence[str], before: int, item_index: Mapping[str, int], event_types: Collection[str]
) -> Consumed:
    """Items with an event of `event_types` in a second before `before`, by user, newest first.

    `item_index` maps item id to row; items that it lacks are left out.
    """
    end = pa.scalar(before * 1_000_000, pa.int64()).cast(pa.timestamp("us", "UTC"))
    wanted = pc.field("event_type").isin(pa.array(list(event_types), pa.string())) & (pc.field("timestamp") < end)
    events = pq.read_table(dataset.events, columns=["user_id", "item_id", "timestamp"], filters=wanted)
    newest = events.group_by(["user_id", "item_id"]).aggregate([("timestamp", "max")])
    user = pc.index_in(newest["user_id"], pa.array(user_ids, pa.string())).fill_null(-1).to_numpy().astype(np.int64)
    item = np.array([item_index.get(name, -1) for name in newest["item_id"].to_pylist()], np.int64)
    second = newest["timestamp_max"].cast(pa.int64()).to_numpy() // 1_000_000
    keep = (user >= 0) & (item >= 0)
    user, item, second = user[keep], item[keep], second[keep]
    order = np.lexsort((item, -second, user))
    counts = np.bincount(user, minlength=len(user_ids))
    return Consumed(np.cumsum(counts), item[order], second[order])
