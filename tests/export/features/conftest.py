from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trident_export.data.dataset import Dataset
from trident_export.data.schema import TABLES, TableSpec

NOON = 1_700_049_600  # Wednesday 15 November 2023, 12:00 UTC
Row = Mapping[str, object]


def table(spec: TableSpec, rows: Iterable[Row]) -> pa.Table:
    """Rows of plain values, times in unix seconds, as a table of the columns they name."""
    rows = list(rows)
    names = [c for c in spec.columns if any(c.name in row for row in rows) or c.required]
    columns = {}
    for column in names:
        values = [row.get(column.name) for row in rows]
        if pa.types.is_timestamp(column.type):
            values = [None if v is None else round(v * 1_000_000) for v in values]
        columns[column.name] = pa.array(values, column.type)
    return pa.table(columns)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Dataset]:
    """Write events, users and items given as dicts; each call makes a new dataset."""

    def write(events: Iterable[Row], users: Iterable[Row] = (), items: Iterable[Row] = ()) -> Dataset:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        given = dict(zip(TABLES, (list(events), list(users), list(items)), strict=True))
        return Dataset.write(folder, *(table(spec, rows) if rows else None for spec, rows in given.items()))

    return write


@pytest.fixture
def noon() -> int:
    return NOON


@pytest.fixture
def random_log() -> Callable[..., tuple[list[Row], list[Row], list[Row]]]:
    return make_random_log


def make_random_log(
    seed: int, events: int = 400, users: int = 6, items: int = 12
) -> tuple[list[Row], list[Row], list[Row]]:
    """A log with nulls, unknown values, several events in one second and entities that never appear."""
    rng = np.random.default_rng(seed)

    def some(*values: object) -> object:
        return values[rng.integers(len(values))]

    log = [
        {
            "user_id": f"u{rng.integers(users)}",
            "item_id": f"i{rng.integers(items)}",
            "timestamp": NOON + int(rng.integers(600)) * 3_000 + some(0, 0, 7, 59, 0.75),
            "event_type": some("view", "view", "view", "click", "click", "like", "add", "share", "purchase"),
            "duration_seconds": some(None, 0.0, 12.5, float(rng.integers(300))),
            "device": some(None, "mobile", "desktop", "tablet", "tv"),
            "location": some(None, "NO"),
        }
        for _ in range(events)
    ]
    people = [
        {
            "user_id": f"u{n}",
            "age": some(None, 12, 18, 24, 44, 55, 80),
            "region": some(None, "NO", "SE"),
            "member_since": some(None, NOON - 400 * 86_400 - n),
            "account_type": some("unknown", "free", "pro"),
        }
        for n in range(users + 1)
    ]
    catalogue = [
        {
            "item_id": f"i{n}",
            "category": some("unknown", "film", "book", "game", "song"),
            "subcategory": some("unknown", "drama", "crime"),
            "tags": ["new"] * int(rng.integers(3)),
            "language": some("und", "no", "en"),
            "duration_seconds": some(None, 0.0, 90.0, 200.0),
            "price": some(None, 0.0, 9.99, 25.5, 100.0),
            "published_at": some(None, NOON - 50 * 86_400 - n),
            "age_limit": some(0, 18),
        }
        for n in range(items + 1)
    ]
    return log, people, catalogue
