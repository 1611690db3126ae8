from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.features.registry import USER
from trident.release import Release
from trident.state.feast import COLUMNS
from trident.users import UserRows
from trident_export import feast_rows
from trident_export.feast_repository import FOLDER, files, write
from trident_export.feast_rows import export_user_rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", files())
def test_the_committed_file_is_what_the_registry_says(name):
    assert (ROOT / FOLDER / name).read_text("utf-8") == files()[name], "run `python -m trident_export.feast_repository`"


def test_nothing_else_is_committed_there():
    kept = {path.name for path in (ROOT / FOLDER).iterdir()} - {"data", "__pycache__"}
    assert kept == set(files())


def test_the_definitions_name_every_feature_with_its_meaning(tmp_path):
    write(tmp_path / "feast")
    tree = ast.parse((tmp_path / "feast" / "definitions.py").read_text("utf-8"))
    named = {t.id: node.value for node in tree.body if isinstance(node, ast.Assign) for t in node.targets}
    features = ast.literal_eval(named["FEATURES"])
    assert [name for name, _ in features] == [feature.name for feature in USER]
    assert dict(features)["user_interactions_7d"] == "events of any type; 7 d"
    others = [k.value for call in named["FIELDS"].elts[1:] for k in call.keywords if k.arg == "name"]
    assert [ast.literal_eval(name) for name in others] == list(COLUMNS[40:])


def test_the_exported_rows_are_those_of_the_release(tiny_release, tmp_path, monkeypatch):
    monkeypatch.setattr(feast_rows, "BATCH", 128)  # so that there are several
    release, users = Release.open(tiny_release), UserRows.open(tiny_release / "users")
    told: list[tuple[int, int]] = []
    made = export_user_rows(release, tmp_path, lambda row, rows: told.append((row, rows)))
    assert told == [(128, 300), (256, 300), (300, 300)]
    assert made.path.name == f"user_rows_{release.manifest.feature_schema}.parquet"
    table = pq.read_table(made.path)
    assert table.column_names == ["user_id", "event_timestamp", *COLUMNS]
    assert table.schema.metadata[b"feature_schema"].decode() == release.manifest.feature_schema
    assert table.schema.field("event_timestamp").type == pa.timestamp("us", "UTC")
    features = np.stack([table[f.name].to_numpy() for f in USER], axis=1)
    assert features.dtype == np.float32
    assert features.tobytes() == users.features.tobytes()
    assert table["user_id"].to_pylist() == [users.ids[row].decode() for row in range(300)]
    assert set(table["as_of"].to_pylist()) == {release.manifest.as_of}
    assert table["age"].to_pylist() == users.age.tolist()
    codes = [release.vocabulary.code("regions", region) for region in table["home_region"].to_pylist()]
    assert codes == users.region.tolist()
    for row in range(300):
        known = users.history[row] >= 0
        items = [item.decode() for item in release.items.ids.take(users.history[row][known])]
        assert table["history"][row].as_py() == items
        assert table["history_at"][row].as_py() == users.history_at[row][known].tolist()
        consumed, times = users.consumed.of(row)
        assert table["consumed"][row].as_py() == [item.decode() for item in release.items.ids.take(consumed)]
        assert table["consumed_at"][row].as_py() == times.tolist()
    assert len(users.consumed.items), "some have consumed something"


def test_a_file_of_the_same_schema_is_replaced_and_nothing_else_is_left(tiny_release, tmp_path):
    command = ["features", "export", str(tiny_release), "--out", str(tmp_path / "data"), "--json"]
    for _ in range(2):
        shown = CliRunner().invoke(build(), command)
        assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert told["users"] == 300
    assert [str(path) for path in (tmp_path / "data").iterdir()] == [told["file"]]
