"""The examination as a whole: its question and answer, and what may be replaced in a release."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from trident.release import MANIFEST, Manifest, fingerprints
from trident_export.parts import PARTS
from trident_export.publishing.examination import STEPS, examine


@pytest.fixture
def copy(tiny_release: Path, tmp_path: Path) -> Path:
    """The release as files of its own."""
    for path in tiny_release.rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(tiny_release)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(tiny_release)).write_bytes(path.read_bytes())
    return tmp_path


def redigest(folder: Path) -> None:
    replace(Manifest.read(folder / MANIFEST), files=fingerprints(folder)).write(folder / MANIFEST)


def problem(folder: Path) -> str | None:
    return examine({"release": str(folder), "against": None, "gates": {}})["problem"]


def test_a_child_answers_on_its_last_line_and_says_what_it_is_at(tiny_release):
    question = json.dumps({"release": str(tiny_release), "against": None, "gates": {"recall": {"least": 0.5}}})
    command = [sys.executable, "-m", "trident_export.publishing.examination"]
    child = subprocess.run(command, input=question, capture_output=True, text=True, timeout=60)
    answer = json.loads(child.stdout.splitlines()[-1])
    assert (child.returncode, answer["problem"]) == (0, None)
    assert set(answer["checks"][0]) >= {"name", "limit", "got", "running", "passed"}
    said = [line.removeprefix("examining: ") for line in child.stderr.splitlines() if line.startswith("examining: ")]
    assert [*dict.fromkeys(said)] == [*STEPS, "recall", "running release"]


def test_what_is_no_release_is_said(tmp_path):
    assert "no release in" in str(problem(tmp_path))


def test_what_a_library_says_comes_with_the_step(copy):
    (copy / "users" / "ids.offsets.npy").unlink()
    assert str(problem(copy)).startswith("user rows: cannot be read: FileNotFoundError")


def test_unknown_gates_are_an_error_of_the_caller(tiny_release):
    answer = examine({"release": str(tiny_release), "against": None, "gates": {"speed": {}}})
    assert "unknown section" in answer["problem"]


def test_the_table_of_parts_names_space_and_schema_of_each_file(tiny_release):
    table, manifest = json.loads((tiny_release / PARTS).read_text()), Manifest.read(tiny_release / MANIFEST)
    assert set(table["files"]) == set(manifest.files) - {PARTS, "rules.toml", "report.html"}
    tower, index = table["files"]["user_tower/model.onnx"], table["files"]["index.faiss"]
    assert tower["embedding_space"] == index["embedding_space"] == manifest.embedding_space
    for path in ("items/features.npy", "users/features.npy", "ranker/checkpoint.tl"):
        assert table["files"][path]["feature_schema"] == manifest.feature_schema


def test_a_report_and_rules_may_be_replaced_as_long_as_the_answers_stay(copy):
    (copy / "report.html").write_text("another page")
    (copy / "rules.toml").write_text("# a remark\n" + (copy / "rules.toml").read_text())
    redigest(copy)
    assert problem(copy) is None
    (copy / "rules.toml").write_text("[diversity]\nmax_per_category = 1\n")
    redigest(copy)
    assert "golden request" in str(problem(copy))


def test_a_release_without_the_table_is_to_be_built_again(copy):
    (copy / PARTS).unlink()
    redigest(copy)
    assert "parts.json is missing" in str(problem(copy))


def test_the_child_loads_neither_torch_nor_ibis(tiny_release):
    code = (
        "import sys; import trident_export.publishing.examination; "
        "print([m for m in ('torch', 'ibis', 'implicit') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert child.stdout.strip() == "[]"
