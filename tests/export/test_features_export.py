from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from trident.errors import InvalidInput
from trident.features.registry import ITEM, USER
from trident.features.vocabulary import Vocabulary
from trident_export import features_commands
from trident_export.data.dataset import Dataset
from trident_export.features import build_vocabulary, item_rows, user_rows

NOON = 1_700_049_600  # Wednesday 15 November 2023, 12:00 UTC


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    events = pa.table(
        {
            "user_id": ["v", "u", "u"],
            "item_id": ["b", "a", "a"],
            "timestamp": pa.array([(NOON + s) * 1_000_000 for s in (0, 10, 20)], pa.timestamp("us", "UTC")),
            "event_type": ["view", "view", "click"],
        }
    )
    items = pa.table({"item_id": ["b", "a"], "category": ["book", "film"]})
    return Dataset.write(tmp_path / "data", events, None, items)


def run(dataset: Dataset, out: Path, *more: str):
    app = typer.Typer()
    features_commands.register(app)
    app.callback()(lambda: None)
    return CliRunner().invoke(app, ["features", "build", str(dataset.folder), "--out", str(out), *more])


def columns(path: Path, features) -> np.ndarray:
    table = pq.read_table(path)
    return np.stack([table[f.name].to_numpy() for f in features], axis=1)


def test_every_user_and_item_is_written_as_of_the_second_after_the_last_event(dataset, tmp_path):
    done = run(dataset, tmp_path / "out", "--json")
    assert json.loads(done.stdout) == {"folder": str(tmp_path / "out"), "as_of": NOON + 21, "users": 2, "items": 2}
    vocabulary = build_vocabulary(dataset)
    for key, ids, rows_of, features in (("user", "uv", user_rows, USER), ("item", "ab", item_rows, ITEM)):
        path = tmp_path / "out" / f"{key}_features.parquet"
        table = pq.read_table(path)
        assert table.column_names == [f"{key}_id", "event_timestamp", *(f.name for f in features)]
        assert table[f"{key}_id"].to_pylist() == list(ids)
        assert set(table["event_timestamp"].to_pylist()) == {datetime.fromtimestamp(NOON + 21, timezone.utc)}
        expected = rows_of(dataset, list(ids), np.full(2, NOON + 21), vocabulary)
        np.testing.assert_array_equal(columns(path, features), expected)
    assert Vocabulary.from_dict(json.loads((tmp_path / "out" / "vocabulary.json").read_text())) == vocabulary
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "item_features.parquet",
        "user_features.parquet",
        "vocabulary.json",
    ]


def test_events_from_the_given_moment_on_are_not_counted(dataset, tmp_path):
    done = run(dataset, tmp_path / "out", "--as-of", "2023-11-15T12:00:20")
    assert done.stdout.startswith("2 users and 2 items as of 2023-11-15 12:00:20 UTC")
    table = pq.read_table(tmp_path / "out" / "user_features.parquet")
    assert table["user_interactions"].to_pylist() == [1, 1]


def test_data_without_an_event_is_refused(dataset, tmp_path):
    empty = Dataset.write(tmp_path / "empty", pq.read_table(dataset.events).slice(0, 0))
    assert isinstance(run(empty, tmp_path / "out").exception, InvalidInput)
