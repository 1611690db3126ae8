from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trident.errors import ReleaseError
from trident.release import MANIFEST, Release
from trident_export.compare import compare


def changed(release: Path, folder: Path, **metrics: float) -> Path:
    """The manifest of a release alone, with other metrics of the method "ranked"."""
    folder.mkdir()
    content = json.loads((release / MANIFEST).read_text("utf-8"))
    content["metrics"]["test"]["methods"]["ranked"] |= {name.replace("_at_", "@"): v for name, v in metrics.items()}
    (folder / MANIFEST).write_text(json.dumps(content), "utf-8")
    return folder


def test_a_release_does_not_differ_from_itself(tiny_release: Path) -> None:
    found = compare(tiny_release, tiny_release)
    assert found.same_test
    assert {c.difference for c in found.metrics} == {0.0}
    names = {(c.method, c.metric) for c in found.metrics}
    assert {("end to end, rules on", "ndcg@20"), ("ranked", "ndcg@20, known users")} <= names
    assert {("ranked", "ndcg@20"), ("ALS", "recall@50"), ("ranker on impressions", "calibration_error")} <= names


def test_the_difference_is_second_minus_first(tiny_release: Path, tmp_path: Path) -> None:
    value = Release.open(tiny_release).manifest.metrics["test"]["methods"]["ranked"]["ndcg@20"]
    other = changed(tiny_release, tmp_path / "other", ndcg_at_20=value + 0.25)
    found = {(c.method, c.metric): c for c in compare(tiny_release, other).metrics}
    assert found["ranked", "ndcg@20"].difference == pytest.approx(0.25)
    assert found["ranked", "mrr"].difference == 0.0


def test_a_release_without_evaluation_is_refused(tiny_release: Path, tmp_path: Path) -> None:
    bare = changed(tiny_release, tmp_path / "bare")
    content = json.loads((bare / MANIFEST).read_text("utf-8"))
    (bare / MANIFEST).write_text(json.dumps(content | {"metrics": {}}), "utf-8")
    with pytest.raises(ReleaseError, match="expected the metrics"):
        compare(tiny_release, bare)
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        compare(tmp_path, tiny_release)


def test_the_command_prints_both_and_warns_of_another_test(tiny_release: Path, tmp_path: Path) -> None:
    from trident.command_group import build as command_line

    other = changed(tiny_release, tmp_path / "other")
    content = json.loads((other / MANIFEST).read_text("utf-8"))
    content["data"]["source"] = "something else"
    (other / MANIFEST).write_text(json.dumps(content), "utf-8")
    arguments = ["compare", str(tiny_release), str(other)]
    shown = CliRunner().invoke(command_line(), arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    assert "ndcg@20" in shown.output
    assert "not evaluated on the same data" in shown.output
    printed = json.loads(CliRunner().invoke(command_line(), [*arguments, "--json"]).output)
    assert printed["same_test"] is False
    assert printed["metrics"][0]["method"] == "most popular"
