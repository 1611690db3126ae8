"""Quality gates: what their file may say, and what they let pass."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.errors import InvalidInput
from trident.items import COLUMNS, write_items
from trident.release import MANIFEST, Manifest, Release
from trident.repository import serving_release
from trident_export.index import write_index
from trident_export.publishing.examination import examine
from trident_export.publishing.gates import DEFAULT_GATES, KEYS, Metric, at_least, at_most, compared, read_gates, within
from trident_export.publishing.golden import write_golden
from trident_export.publishing.measures import closeness, recall, spread
from trident_export.publishing.publish import publish
from trident_export.writer import write_manifest

TIMES, LISTS = 10, 16


def checks(answer: dict) -> dict[str, dict]:
    assert answer["problem"] is None
    return {check["name"]: check for check in answer["checks"]}


@pytest.fixture(scope="module")
def wide(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with the same users and models, ten times the items, and inverted lists of which all are read."""
    folder = tmp_path_factory.mktemp("wide") / "release"
    return make_wide(tiny_release, folder, nprobe=LISTS)


@pytest.fixture(scope="module")
def spoiled(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, but only one list is read; it is whole, and its golden requests are its own."""
    return make_wide(tiny_release, tmp_path_factory.mktemp("spoiled") / "release", nprobe=1)


@pytest.fixture(scope="module")
def running(wide: Path, tmp_path_factory: pytest.TempPathFactory) -> list:
    """A repository in which the wide release serves, and its number."""
    repository = tmp_path_factory.mktemp("running") / "repository"
    return [str(repository), publish(wide, repository)]


def make_wide(tiny: Path, folder: Path, nprobe: int) -> Path:
    release = Release.open(tiny)
    for path in tiny.rglob("*"):
        if path.is_file() and path.name != "index.faiss" and path.parent.name != "items":
            (folder / path.relative_to(tiny)).parent.mkdir(parents=True, exist_ok=True)
            (folder / path.relative_to(tiny)).write_bytes(path.read_bytes())
    items, n = release.items, len(release.items)
    rows = np.tile(np.arange(n), TIMES)
    columns = {name: getattr(items, name) if name == "popular" else getattr(items, name)[rows] for name in COLUMNS}
    names = [f"i{row}" for row in range(len(rows))]
    write_items(folder / "items", names, [items.title(row) for row in rows], items.categories, **columns)
    rng = np.random.default_rng(0)
    vectors = faiss.read_index(str(tiny / "index.faiss")).reconstruct_n(0, n)[rows]
    vectors += 0.15 * rng.normal(size=vectors.shape).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = faiss.index_factory(128, f"IVF{LISTS},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    write_index(index, folder / "index.faiss")
    search = {**release.manifest.search, "factory": f"IVF{LISTS},Flat", "nprobe": nprobe}
    write_manifest(folder, replace(release.manifest, items=len(rows), search=search))
    write_golden(folder)
    return folder


def test_the_shipped_file_sets_every_key_and_says_what_it_means():
    gates = read_gates()
    assert {section: set(keys) for section, keys in gates.items()} == {s: set(keys) for s, keys in KEYS.items()}
    lines = [line for line in DEFAULT_GATES.read_text().splitlines() if " = " in line and not line.startswith("#")]
    assert len(lines) == sum(len(keys) for keys in KEYS.values())
    assert all("# " in line for line in lines)


def test_a_file_changes_what_it_names(tmp_path):
    (tmp_path / "gates.toml").write_text("[recall]\nleast = 0.97\n")
    gates = read_gates(tmp_path / "gates.toml")
    assert gates["recall"] == {"least": 0.97, "queries": read_gates()["recall"]["queries"]}
    assert {k: v for k, v in gates.items() if k != "recall"} == {k: v for k, v in read_gates().items() if k != "recall"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[recal]\nleast = 1", "unknown section: expected some of recall, .* got 'recal'"),
        ("[recall]\nmost = 1", r"\[recall\]: unknown key: expected some of least, queries, got 'most'"),
        ("[recall]\nleast = 1.5", r"\[recall\] least: expected a number from 0 to 1, got 1.5"),
        ("[recall]\nleast = true", "expected a number from 0 to 1, got True"),
        ("[recall]\nqueries = 2.5", "expected a whole number from 1 to 1000, got 2.5"),
        ("[latency]\nmost_times = 0.5", "expected a number from 1, got 0.5"),
        ("[changed]\nleast = 0.6\nmost = 0.4", "expected least up to most"),
        ("recall = 3", "expected a table"),
        ("[recall", "gates.toml cannot be read"),
    ],
)
def test_what_a_file_may_not_say(tmp_path, text, said):
    (tmp_path / "gates.toml").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        read_gates(tmp_path / "gates.toml")


def test_limits_count_as_reached_and_nan_never_passes():
    assert at_least("a", 0.9, 0.9).passed
    assert not at_least("a", 0.89, 0.9).passed
    assert at_most("a", 5.0, 5.0).passed
    assert within("a", 0.5, 0.5, 1.0).passed
    assert not within("a", 0.49, 0.5, 1.0).passed
    for check in (at_least("a", np.nan, 0), at_most("a", np.nan, 9), within("a", np.nan, 0, 1)):
        assert not check.passed


def test_a_metric_may_fall_by_so_much_and_by_chance():
    assert compared("AUC", Metric(0.70), Metric(0.71), 0.02).passed
    worse = compared("AUC", Metric(0.65), Metric(0.71), 0.02)
    assert (worse.passed, worse.limit, worse.running) == (False, pytest.approx(0.69), 0.71)
    few = compared("AUC", Metric(0.65, 0.72), Metric(0.71), 0.02)
    assert few.passed
    assert few.note == "within chance: its 95 % interval reaches 0.72"
    assert not compared("AUC", Metric(0.65, 0.68), Metric(0.71), 0.02).passed


def test_a_metric_that_one_of_them_lacks_is_not_compared():
    assert compared("AUC", Metric.of(None, None), Metric(0.7), 0.02).note.endswith("the release has no such metric")
    said = compared("AUC", Metric(0.7), Metric.of("x", [1]), 0.02)
    assert (said.passed, said.got) == (True, 0.7)
    assert said.note == "not compared: the running release has no such metric"


def test_sample_rows_are_spread_evenly():
    assert spread(0, 5).tolist() == []
    assert spread(3, 5).tolist() == [0, 1, 2]
    assert spread(101, 5).tolist() == [0, 25, 50, 75, 100]


def test_recall_is_measured_against_reading_everything(tiny_release, wide, spoiled):
    assert recall(Release.open(tiny_release), 20) == 1
    assert recall(Release.open(wide), 20) == 1
    assert 0.1 < recall(Release.open(spoiled), 20) < 0.8


def test_a_tower_and_an_index_of_different_spaces_are_seen_although_all_seals_fit(
    tiny_release, other_release, tmp_path
):
    for path in tiny_release.rglob("*"):
        if path.is_file():
            (tmp_path / path.relative_to(tiny_release)).parent.mkdir(exist_ok=True)
            (tmp_path / path.relative_to(tiny_release)).write_bytes(path.read_bytes())
    (tmp_path / "index.faiss").write_bytes((other_release / "index.faiss").read_bytes())
    write_manifest(tmp_path, Manifest.read(tmp_path / MANIFEST))
    write_golden(tmp_path)
    found = checks(examine({"release": str(tmp_path), "against": None, "gates": {}}))
    assert [name for name, check in found.items() if not check["passed"]] == ["own items"]
    assert abs(found["own items"]["got"]) < 0.05 < closeness(Release.open(tiny_release), 50)


def test_a_release_passes_beside_itself(wide, running):
    found = checks(examine({"release": str(wide), "against": running, "gates": {}}))
    assert {name for name, check in found.items() if check["passed"]} == set(found)
    assert found["changed items"]["got"] == 0
    assert found["AUC"]["got"] == found["AUC"]["running"]
    assert all(check["note"] == "" for check in found.values())


def test_a_smaller_catalogue_and_other_answers_are_seen(wide, tiny_release, running):
    gates = {"changed": {"most": 0.01}}
    answer = examine({"release": str(tiny_release), "against": running, "gates": gates})
    found = checks(answer)
    assert (found["items"]["passed"], found["items"]["got"], found["items"]["running"]) == (False, 800, 8000)
    assert not found["changed items"]["passed"]
    assert found["changed items"]["got"] > 0.1
    answer = examine({"release": str(wide), "against": running, "gates": {"changed": {"least": 0.1}}})
    assert not checks(answer)["changed items"]["passed"]


def test_a_worse_ranker_is_seen(wide, running, tmp_path):
    manifest = Manifest.read(wide / MANIFEST)
    metrics = json.loads(json.dumps(manifest.metrics))
    shown = metrics["test"]["ranker"]["impressions"]
    shown["auc"], shown["intervals"]["auc"] = shown["auc"] - 0.1, [0.0, shown["auc"] - 0.08]
    worse = tmp_path / "worse"
    for path in wide.rglob("*"):
        if path.is_file():
            (worse / path.relative_to(wide)).parent.mkdir(parents=True, exist_ok=True)
            (worse / path.relative_to(wide)).hardlink_to(path)
    (worse / MANIFEST).unlink()
    write_manifest(worse, replace(manifest, metrics=metrics))
    found = checks(examine({"release": str(worse), "against": running, "gates": {}}))
    assert [name for name, check in found.items() if not check["passed"]] == ["AUC"]


def test_a_running_release_that_cannot_be_asked_keeps_nobody_out(tiny_release, tmp_path):
    found = checks(examine({"release": str(tiny_release), "against": [str(tmp_path), 3], "gates": {}}))
    assert all(check["passed"] for check in found.values())
    assert found["items"]["note"].startswith("not compared: the running release cannot be asked")


def test_spoiled_recall_is_refused_unless_forced_and_then_the_reason_is_recorded(wide, spoiled, tmp_path):
    repository = tmp_path / "repository"
    publish(wide, repository)
    command = ["publish", str(spoiled), "--repository", str(repository)]
    refused = CliRunner().invoke(build(), command)
    assert refused.exit_code == 1
    assert "recall@500: expected 0.9" in refused.output
    assert serving_release(repository) == 1
    forced = CliRunner().invoke(build(), [*command, "--force", "--reason", "a test of the alarm"])
    assert forced.exit_code == 0, forced.output
    assert serving_release(repository) not in (None, 1)
    history = (tmp_path / ".repository.history.jsonl").read_text().splitlines()
    assert "a test of the alarm" in history[-1]
    assert len(history) == 2


def test_a_check_goes_through_json():
    check = at_least("recall@500", 0.5, 0.9, 0.95)
    assert json.loads(json.dumps(check.as_dict())) == asdict(check)
