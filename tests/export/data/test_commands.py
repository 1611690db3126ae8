from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from trident.errors import InvalidInput
from trident_export.data import commands

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


def test_what_is_wrong_with_the_data_is_an_error_of_ours(app, tmp_path):
    result = CliRunner().invoke(app, ["data", "validate", str(tmp_path), "--out", str(tmp_path / "out")])
    assert isinstance(result.exception, InvalidInput)


def test_the_commands_import_nothing_heavy():
    script = (
        "import sys, trident_export.commands as c; print([m for m in ('numpy', 'pyarrow', 'ibis') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
