"""Users and items of a dataset as arrays: an entity's row is the place of its id in the sorted list of ids."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident.errors import InvalidInput
from trident.features.context import device_codes
from trident.features.vocabulary import Vocabulary
from trident_export.data.dataset import Dataset
from trident_export.event_log import UNKNOWN, Log

LONGEST_AGE_LIMIT = 255


@dataclass(frozen=True)
class Users:
    """Who the dataset knows; arrays (n,)."""

    ids: list[str]
    age: np.ndarray  # int32 years, -1 unknown
    region: np.ndarray  # int32 code of the home region, -1 unknown

    @classmethod
    def read(cls, dataset: Dataset, vocabulary: Vocabulary) -> Users:
        """Read the users of a dataset."""
        table = pq.read_table(dataset.users, columns=["user_id", "age", "region"]).sort_by("user_id")
        region = vocabulary.codes("regions", table["region"].to_pylist()).astype(np.int32)
        return cls(table["user_id"].to_pylist(), _numbers(table["age"], UNKNOWN, np.int32), region)

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Catalogue:
    """What the dataset says of its items; arrays (n,)."""

    ids: list[str]
    titles: list[str]
    category: np.ndarray  # int32 code, -1 unknown
    published_at: np.ndarray  # int64 unix seconds, 0 unknown
    age_limit: np.ndarray  # uint8 years
    in_stock: np.ndarray  # bool
    flagged: np.ndarray  # bool
    blocked: list[list[int]]  # codes of the regions where it must not be shown

    @classmethod
    def read(cls, dataset: Dataset, vocabulary: Vocabulary) -> Catalogue:
        """Read the items of a dataset; a missing safety column is read as the unsafe value."""
        table = pq.read_table(dataset.items).sort_by("item_id")
        limits = _numbers(table["age_limit"], LONGEST_AGE_LIMIT, np.int64)
        return cls(
            table["item_id"].to_pylist(),
            table["title"].fill_null("").to_pylist(),
            vocabulary.codes("categories", table["category"].to_pylist()).astype(np.int32),
            _numbers(_seconds(table["published_at"]), 0, np.int64),
            np.clip(limits, 0, LONGEST_AGE_LIMIT).astype(np.uint8),
            _numbers(table["in_stock"], False, np.bool_),
            _numbers(table["flagged"], True, np.bool_),
            _region_codes(table["blocked_regions"].to_pylist(), vocabulary),
        )

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def rows(self) -> dict[str, int]:
        """Item id → row."""
        return {item: row for row, item in enumerate(self.ids)}


def read_log(dataset: Dataset, users: Users, catalogue: Catalogue, vocabulary: Vocabulary) -> Log:
    """Read the events of a validated dataset; all of their users and items are in its files."""
    columns = ["user_id", "item_id", "timestamp", "event_type", "device", "location"]
    table = pq.read_table(dataset.events, columns=columns)
    return Log.of(
        _rows(table["user_id"], users.ids),
        _rows(table["item_id"], catalogue.ids),
        _numbers(_seconds(table["timestamp"]), 0, np.int64),
        table["event_type"].to_numpy(zero_copy_only=False).astype(str),
        _coded(table["device"], device_codes),
        _coded(table["location"], lambda names: vocabulary.codes("regions", names)),
    )


def _rows(ids: pa.ChunkedArray, known: list[str]) -> np.ndarray:
    rows = pc.index_in(ids, pa.array(known, pa.string()))
    if rows.null_count:
        raise InvalidInput(f"events: expected ids of the dataset's users and items, got {rows.null_count} others")
    return rows.to_numpy().astype(np.int64)


def _coded(column: pa.ChunkedArray, codes_of: object) -> np.ndarray:
    """Codes of strings with few distinct values: each is looked up once."""
    names = pc.unique(column)
    codes = codes_of([name or "" for name in names.to_pylist()])  # type: ignore[operator]
    return codes[pc.index_in(column, names).to_numpy()].astype(np.int64)


def _seconds(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.floor(pc.divide(pc.cast(pc.cast(column, pa.int64()), pa.float64()), 1e6)).cast(pa.int64())


def _numbers(column: pa.ChunkedArray, unknown: float, dtype: type) -> np.ndarray:
    return pc.fill_null(column, unknown).to_numpy(zero_copy_only=False).astype(dtype)


def _region_codes(blocked: list[list[str] | None], vocabulary: Vocabulary) -> list[list[int]]:
    codes = [[vocabulary.code("regions", name) for name in names or ()] for names in blocked]
    return [[code for code in row if code >= 0] for row in codes]
