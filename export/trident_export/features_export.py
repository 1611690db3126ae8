"""The features of all users and items of a dataset as of one moment, as Parquet files that other tools read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident.errors import InvalidInput
from trident.features.registry import ITEM, USER, Feature
from trident_export.data.dataset import Dataset
from trident_export.data.engine import opened
from trident_export.data.progress import advance, progress_bar
from trident_export.features import build_vocabulary, item_rows, user_rows

VOCABULARY = "vocabulary.json"
LATEST = 4_102_444_800


@dataclass(frozen=True)
class Exported:
    """What was written to a folder."""

    as_of: int  # unix seconds: events before this are counted
    users: int
    items: int


def export_features(dataset: Dataset, out: Path, *, as_of: int | None = None, engine: str = "duckdb") -> Exported:
    """Write user_features.parquet, item_features.parquet and vocabulary.json, what their codes mean, to `out`.

    A row is the id, `event_timestamp` and 40 float32 columns by their names in the registry. `as_of` is unix seconds,
    by default the second after the last event. `engine` is a name of `data.engine.ENGINES`. Raises InvalidInput
    for data without an event.
    """
    moment = _moment(dataset) if as_of is None else as_of
    if not 0 <= moment <= LATEST:
        raise InvalidInput(f"features: as_of: expected unix seconds up to {LATEST}, got {moment}")
    out.mkdir(parents=True, exist_ok=True)
    with opened(engine, out) as at, progress_bar("vocabulary", 3) as progress:
        vocabulary = build_vocabulary(dataset, at)
        counts = []
        kinds = (("user", dataset.users, USER, user_rows), ("item", dataset.items, ITEM, item_rows))
        for kind, path, features, rows_of in kinds:
            advance(progress, label=f"{kind} features")
            ids = pq.read_table(path, columns=[f"{kind}_id"]).sort_by(f"{kind}_id")[f"{kind}_id"].combine_chunks()
            rows = rows_of(dataset, ids, np.full(len(ids), moment), vocabulary, at)
            table = _table(f"{kind}_id", ids, moment, rows, features)
            _write(out / f"{kind}_features.parquet", partial(pq.write_table, table))
            counts.append(len(ids))
        text = json.dumps(vocabulary.to_dict(), ensure_ascii=False, indent=1) + "\n"
        _write(out / VOCABULARY, lambda path: path.write_text(text, "utf-8"))
    return Exported(moment, *counts)


def _moment(dataset: Dataset) -> int:
    latest = pc.max(pq.read_table(dataset.events, columns=["timestamp"])["timestamp"].cast(pa.int64())).as_py()
    if latest is None:
        raise InvalidInput(f"{dataset.events}: expected events, got none")
    return latest // 1_000_000 + 1


def _table(key: str, ids: pa.Array, moment: int, rows: np.ndarray, features: Sequence[Feature]) -> pa.Table:
    times = pa.array(np.full(len(ids), moment * 1_000_000), pa.timestamp("us", "UTC"))
    columns = {f.name: pa.array(np.ascontiguousarray(rows[:, n])) for n, f in enumerate(features)}
    return pa.table({key: ids, "event_timestamp": times, **columns})


def _write(path: Path, write: Callable[[Path], object]) -> None:
    """Write beside `path` and rename, so that nobody reads half a file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
