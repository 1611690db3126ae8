"""Rows of features for any entities and times, used alike for training rows and for the snapshot that is served."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import ibis
import numpy as np
import pyarrow.parquet as pq
from ibis.backends import BaseBackend
from ibis.expr.types import NumericValue, Table

from trident.features.registry import ITEM, USER, Feature
from trident.features.vocabulary import Vocabulary
from trident_export.data.dataset import Dataset
from trident_export.data.engine import opened
from trident_export.features.items import item_features
from trident_export.features.requests import Ids, Requests
from trident_export.features.tables import event_table, item_table, user_table
from trident_export.features.users import user_features

LARGEST_PART = 4_000_000
"""Events and requests that one machine works on at once: more are split by entity."""

Definitions = Callable[[Table, Table, Table, Table, Table], Table]


def user_rows(
    dataset: Dataset,
    user_ids: Ids,
    timestamps: np.ndarray,
    vocabulary: Vocabulary,
    engine: str | BaseBackend = "duckdb",
) -> np.ndarray:
    """Features of R users as of R unix seconds, from events of strictly earlier seconds: (R, 40) float32.

    A user that the dataset does not know gets the defaults of the registry. `engine` is a name of `data.engine.ENGINES`
    or an open engine; all give the same rows.
    """
    return _rows(dataset, user_ids, timestamps, vocabulary, engine, USER, user_features)


def item_rows(
    dataset: Dataset,
    item_ids: Ids,
    timestamps: np.ndarray,
    vocabulary: Vocabulary,
    engine: str | BaseBackend = "duckdb",
) -> np.ndarray:
    """Features of R items as of R unix seconds, from events of strictly earlier seconds: (R, 40) float32.

    An item that the dataset does not know gets the defaults of the registry. `engine` as for `user_rows`.
    """
    return _rows(dataset, item_ids, timestamps, vocabulary, engine, ITEM, item_features)


def default_user_row(vocabulary: Vocabulary) -> np.ndarray:
    """The row of a user whom nobody knows: (40,) float32; no default is a code, so any vocabulary gives the same."""
    return np.array([f.default for f in USER], np.float32)


def _rows(
    dataset: Dataset,
    ids: Ids,
    timestamps: np.ndarray,
    vocabulary: Vocabulary,
    engine: str | BaseBackend,
    features: Sequence[Feature],
    definitions: Definitions,
) -> np.ndarray:
    requests = Requests.of(ids, timestamps)
    out = np.empty((len(requests), len(features)), np.float32)
    work = pq.read_metadata(dataset.events).num_rows + len(requests)
    with opened(engine, dataset.folder) as at:
        tables = (event_table(at, dataset), user_table(at, dataset, vocabulary), item_table(at, dataset, vocabulary))
        for entities, asked in requests.parts(LARGEST_PART if at.name == "duckdb" else work, work):
            table = definitions(*tables, ibis.memtable(entities), ibis.memtable(asked))
            _write(at, table, features, out)
    return out if np.array_equal(requests.inverse, np.arange(len(out))) else out[requests.inverse]


def _write(engine: BaseBackend, table: Table, features: Sequence[Feature], out: np.ndarray) -> None:
    finished = table.select("row", **{f.name: _finished(table[f.name], f.default) for f in features})
    for batch in engine.to_pyarrow(finished).to_batches():
        rows = batch.column(0).to_numpy()
        for column in range(len(features)):
            out[rows, column] = batch.column(column + 1).to_numpy(zero_copy_only=False)


def _finished(column: NumericValue, default: float) -> NumericValue:
    value = column.cast("float64")
    return (value if math.isnan(default) else value.fill_null(default)).cast("float32")
