"""Validation on DuckDB and on Spark: the same clean events, the same quarantine, the same report."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trident.errors import InvalidInput
from trident_export.data.dataset import Dataset
from trident_export.data.engine import kept, opened
from trident_export.data.rules import BOTS, REASONS, ValidationRules
from trident_export.data.schema import EVENTS, USERS
from trident_export.data.synthetic import generate
from trident_export.data.validate import validate

NOW = datetime(2024, 6, 1, tzinfo=timezone.utc)
RULES = ValidationRules(now=NOW, known_users=True, known_items=True)
NOON = NOW - timedelta(hours=12)


def odd_rows() -> list[dict]:
    """Rows beside the planted ones on which two engines could disagree."""
    row = {"user_id": "u2", "item_id": "i2", "timestamp": NOON, "event_type": "view", "device": "tv", "location": "NO"}
    changed = [
        {"user_id": "u" * 129},
        {"user_id": "ü" * 128},
        {"item_id": "a\x1fb"},
        {"item_id": "a\x7f"},
        {"item_id": "back\\slash 'quoted'"},
        {"user_id": "", "item_id": None},
        {"event_type": "VIEW"},
        {"event_type": ""},
        {"timestamp": datetime(1066, 10, 14, 9, 0, 0, 250_000, timezone.utc)},
        {"timestamp": datetime(1969, 12, 31, 23, 59, 59, 750_000, timezone.utc)},
        {"timestamp": datetime(9999, 12, 31, 23, 59, 59, 999_999, timezone.utc)},
        *({"timestamp": NOON + timedelta(microseconds=us)} for us in (1, 999_999)),
        *({"duration_seconds": s} for s in (0.0, -0.0, 0.1, float("nan"), float("inf"), -float("inf"), 86_400.0)),
        *({"duration_seconds": s, "device": None} for s in (0.0, 0.0, -0.0, -0.0, float("nan"), float("nan"))),
        {"device": None, "location": None},
        {"device": "\x00", "location": None},
    ]
    return [{name: {**row, **change}.get(name) for name in EVENTS.names} for change in changed]


def fractions() -> list[dict]:
    """A user who is no bot, but would be one if fractions of seconds counted as seconds."""
    times = (NOON + timedelta(seconds=2 * (k // 2), milliseconds=137 * (k % 7)) for k in range(400))
    return [
        {**odd_rows()[0], "user_id": "u3", "item_id": f"i{k % 97 + 2}", "timestamp": at} for k, at in enumerate(times)
    ]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Every kind of planted defect, odd rows, and tables that know the bots but lack a user and an item."""
    made = generate(tmp_path_factory.mktemp("raw"), users=100, items=200, events=50_000, days=20, end=NOW)
    more = pa.Table.from_pylist(odd_rows() + fractions(), EVENTS.arrow)
    pq.write_table(pa.concat_tables([pq.read_table(made.events).cast(EVENTS.arrow), more]), made.events)
    users, items = pq.read_table(made.users).slice(1), pq.read_table(made.items).slice(1)
    bots = pa.table({"user_id": [f"bot{n + 1}" for n in range(len(BOTS))]})
    pq.write_table(pa.concat_tables([users.cast(USERS.arrow), bots], promote_options="default"), made.users)
    pq.write_table(items, made.items)
    return made


def rows(path: Path) -> list[str]:
    """Each row with all its columns as text, so that NaN equals NaN."""
    return [repr(row) for row in pq.read_table(path).to_pylist()]


def test_spark_rejects_what_duckdb_rejects_for_the_same_reasons_and_reports_the_same(spark, dataset, tmp_path):
    ours, theirs = (validate(dataset, tmp_path / name, RULES, engine) for name, engine in engines(spark))
    assert [reason for reason in REASONS if not ours.rejected[reason]] == []
    assert theirs.as_dict() == ours.as_dict()
    for name in ("events", "quarantine", "users", "items"):
        found = [tmp_path / engine / f"{name}.parquet" for engine, _ in engines(spark)]
        assert rows(found[1]) == rows(found[0]), name
        assert [pq.read_schema(path).types for path in found[:1]] == [pq.read_schema(found[1]).types]
    assert {p.name for p in (tmp_path / "spark").iterdir()} == {p.name for p in (tmp_path / "duckdb").iterdir()}


def engines(spark) -> tuple:
    return ("duckdb", "duckdb"), ("spark", spark)


def test_data_without_a_clean_event_are_reported_alike(spark, tmp_path):
    dataset = Dataset.write(tmp_path / "in", pa.Table.from_pylist([{**odd_rows()[0], "user_id": None}], EVENTS.arrow))
    ours, theirs = (validate(dataset, tmp_path / name, RULES, engine) for name, engine in engines(spark))
    assert (ours.read, ours.clean) == (1, 0)
    assert theirs.as_dict() == ours.as_dict()
    assert rows(theirs.quarantine) == rows(ours.quarantine)


def test_an_unknown_engine_is_refused_before_anything_is_written(tmp_path):
    dataset = Dataset.write(tmp_path / "in", pa.Table.from_pylist(odd_rows()[:1], EVENTS.arrow))
    with pytest.raises(InvalidInput, match="expected one of duckdb, spark, got 'pandas'"):
        validate(dataset, tmp_path / "out", RULES, "pandas")
    with pytest.raises(InvalidInput, match="got 'pandas'"):
        kept("pandas")
    assert not (tmp_path / "out").exists()


def test_an_engine_that_is_open_stays_open(tmp_path):
    with opened("duckdb", tmp_path) as engine:
        with opened(engine, tmp_path) as same, kept(engine) as again:
            assert same is again is engine
        assert engine.raw_sql("SELECT 1").fetchall() == [(1,)]
