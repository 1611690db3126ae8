"""The user rows of a release as the Parquet file that Feast reads."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trident.features.registry import USER
from trident.release import Release
from trident.state.feast import AGE, AS_OF, CONSUMED, CONSUMED_AT, HISTORY, HISTORY_AT, REGION
from trident.users import UserRows
from trident_export.feast_repository import ROWS, SCHEMA

BATCH = 20_000
Watcher = Callable[[int, int], object]
"""Told after each batch: rows written, rows of the release."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    users: int
    feature_schema: str


def export_user_rows(release: Release, out: Path, on_progress: Watcher | None = None) -> Exported:
    """Write the user rows of `release` to `out`, in batches, as a file named after the feature schema.

    A row is user_id, `event_timestamp`, 40 float32 columns by their names in the registry, and the columns of
    `feast_repository.FIELDS`. A file of the same schema, written by an earlier release, is replaced.
    """
    users = UserRows.open(release.folder / "users")
    schema = release.manifest.feature_schema
    path = out / ROWS.replace("*", schema)
    out.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with pq.ParquetWriter(draft, _schema(release)) as writer:
            for start in range(0, len(users), BATCH):
                rows = slice(start, min(start + BATCH, len(users)))
                writer.write_batch(pa.record_batch(_columns(users, release, rows), _schema(release)))
                if on_progress:
                    on_progress(rows.stop, len(users))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return Exported(path, len(users), schema)


def _schema(release: Release) -> pa.Schema:
    columns = [
        ("user_id", pa.string()),
        ("event_timestamp", pa.timestamp("us", "UTC")),
        *((feature.name, pa.float32()) for feature in USER),
        (REGION, pa.string()),
        (AGE, pa.int32()),
        (AS_OF, pa.int64()),
        (HISTORY, pa.list_(pa.string())),
        (HISTORY_AT, pa.list_(pa.int64())),
        (CONSUMED, pa.list_(pa.string())),
        (CONSUMED_AT, pa.list_(pa.int64())),
    ]
    return pa.schema(columns, {SCHEMA: release.manifest.feature_schema})


def _columns(users: UserRows, release: Release, rows: slice) -> list[pa.Array]:
    count = rows.stop - rows.start
    as_of, regions = release.manifest.as_of, np.array([*release.vocabulary.regions, ""], object)
    code = users.region[rows]
    known = users.history[rows] >= 0
    ends = users.consumed.ends[rows]
    first = int(users.consumed.ends[rows.start - 1]) if rows.start else 0
    consumed = slice(first, int(ends[-1]))
    return [
        pa.array([users.ids[row].decode() for row in range(rows.start, rows.stop)], pa.string()),
        pa.array(np.full(count, as_of * 1_000_000), pa.timestamp("us", "UTC")),
        *(pa.array(np.ascontiguousarray(column)) for column in users.features[rows].T),
        pa.array(regions[np.where((code >= 0) & (code < len(regions) - 1), code, -1)], pa.string()),
        pa.array(users.age[rows]),
        pa.array(np.full(count, as_of)),
        *_lists(release, known.sum(axis=1).cumsum(), users.history[rows][known], users.history_at[rows][known]),
        *_lists(release, ends - first, users.consumed.items[consumed], users.consumed.times[consumed]),
    ]


def _lists(release: Release, ends: np.ndarray, items: np.ndarray, times: np.ndarray) -> tuple[pa.Array, pa.Array]:
    """Items of users as lists of their ids and of their times; those of user u end at ends[u]."""
    offsets = np.concatenate([[0], ends]).astype(np.int32)
    ids = pa.array([item.decode() for item in release.items.ids.take(items)], pa.string())
    return pa.ListArray.from_arrays(offsets, ids), pa.ListArray.from_arrays(offsets, pa.array(times))
