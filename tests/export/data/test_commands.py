from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from trident.errors import InvalidInput
from trident_export.build_source import folder_source, synthetic_source
from trident_export.data import commands, movielens
from trident_export.data.rules import ValidationRules

SYNTH = ["data", "synth", "--users", "50", "--items", "200", "--events", "2000", "--days", "3", "--end", "2024-06-01"]


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command("other")(lambda: None)
    commands.register(app)
    return app


def test_synth_then_validate_as_a_person_reads_it(app, tmp_path):
    made = CliRunner().invoke(app, [*SYNTH, "--out", str(tmp_path / "raw")])
    assert made.exit_code == 0
    assert made.stdout.startswith("2,000 events of 50 users and 200 items")
    checked = CliRunner().invoke(app, ["data", "validate", str(tmp_path / "raw"), "--out", str(tmp_path / "clean")])
    assert checked.exit_code == 0
    assert checked.stdout.startswith("data quality: 1,9")
    assert not list((tmp_path / "clean").glob(".*"))


@pytest.mark.parametrize("source", ["synthetic", "files"])
def test_json_is_all_that_stdout_holds(app, tmp_path, source):
    made = CliRunner().invoke(app, [*SYNTH, "--out", str(tmp_path / "raw"), "--json"])
    planted = json.loads(made.stdout)["planted"]
    arguments = [
        "data",
        "validate",
        str(tmp_path / "raw"),
        "--out",
        str(tmp_path / "clean"),
        "--source",
        source,
        "--json",
    ]
    report = json.loads(CliRunner().invoke(app, arguments).stdout)
    assert {k: v for k, v in report["rejected"].items() if v} == {k: v for k, v in planted.items() if v}
    assert report["read"] == 2_000


def test_a_rules_file_changes_what_is_rejected(app, tmp_path):
    CliRunner().invoke(app, [*SYNTH, "--out", str(tmp_path / "raw")])
    rules = tmp_path / "validation.toml"
    rules.write_text('[events]\nevent_types = ["click"]\n')
    arguments = ["data", "validate", str(tmp_path / "raw"), "--out", str(tmp_path / "clean"), "--rules", str(rules)]
    report = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert report["rejected"]["unknown_event_type"] > 1_000
    assert report["rules"]["event_types"] == ["click"]


def test_a_wrong_rules_file_stops_before_anything_is_read(app, tmp_path):
    (tmp_path / "validation.toml").write_text("[bots]\nlimit = 5\n")
    arguments = ["data", "validate", str(tmp_path), "--out", str(tmp_path / "clean")]
    result = CliRunner().invoke(app, [*arguments, "--rules", str(tmp_path / "validation.toml")])
    assert isinstance(result.exception, InvalidInput)
    assert "[bots]: expected the keys" in str(result.exception)
    assert not (tmp_path / "clean").exists()


def test_a_table_that_is_called_complete_is_checked_in_files_too(app, tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    lines = [{"user_id": user, "item_id": "i1", "timestamp": "2024-05-01T10:00:00Z"} for user in ("u1", "u2")]
    (raw / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (raw / "users.jsonl").write_text('{"user_id": "u1"}\n')
    (tmp_path / "validation.toml").write_text("[tables]\nknown_users = true\n")
    arguments = ["data", "validate", str(raw), "--out", str(tmp_path / "clean"), "--json"]
    assert json.loads(CliRunner().invoke(app, arguments).stdout)["clean"] == 2
    strict = CliRunner().invoke(app, [*arguments, "--rules", str(tmp_path / "validation.toml")])
    report = json.loads(strict.stdout)
    assert (report["clean"], report["rejected"]["unknown_user"]) == (1, 1)
    assert [i["item_id"] for i in pq.read_table(tmp_path / "clean" / "items.parquet").to_pylist()] == ["i1"]


def test_a_build_reads_the_same_rules_file(tmp_path):
    path = tmp_path / "validation.toml"
    path.write_text("[tables]\nknown_users = true\n")
    assert folder_source("movielens", tmp_path, path).rules == replace(movielens.RULES, known_users=True)
    assert synthetic_source(validation=path).rules == ValidationRules(known_users=True)


def test_what_is_wrong_with_the_data_is_an_error_of_ours(app, tmp_path):
    result = CliRunner().invoke(app, ["data", "validate", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, InvalidInput)


def test_the_commands_import_nothing_heavy():
    script = (
        "import sys, trident_export.commands as c; print([m for m in ('numpy', 'pyarrow', 'ibis') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
