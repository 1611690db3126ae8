from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import faiss
import lightgbm
import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from trident.contract import USER_EMBEDDING, USER_TOWER
from trident.errors import InvalidInput, ReleaseError
from trident.features.registry import schema_hash
from trident.onnx import OnnxModel
from trident.release import Release
from trident.rules import Rules
from trident.search import ItemIndex
from trident.taste import pool
from trident.users import UserRows
from trident_export.build import BuildReport, build
from trident_export.build_config import BuildConfig
from trident_export.build_source import folder_source, synthetic_source
from trident_export.ground import snapshot_times
from trident_export.parts import PARTS
from trident_export.ranker import RankerConfig, forest_difference
from trident_export.samples import SampleConfig
from trident_export.split import Windows
from trident_export.towers import TowerConfig

TINY = BuildConfig(
    towers=TowerConfig(epochs=3),
    samples=SampleConfig(requests=300, retrieved=60),
    ranker=RankerConfig(trees=60),
    item_snapshots=12,
)
END = datetime(2026, 1, 1, tzinfo=timezone.utc)
SOURCE = synthetic_source(users=300, items=800, events=20_000, days=30, end=END)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def report(work: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    return build(SOURCE, tmp_path_factory.mktemp("built") / "release", TINY, work=work)


@pytest.fixture(scope="module")
def release(report: BuildReport) -> Release:
    return Release.open(report.folder)


def test_the_release_is_whole(release: Release) -> None:
    release.verify()
    assert len(release.items) == release.manifest.items == 800
    assert len(UserRows.open(release.folder / "users")) == release.manifest.users
    assert release.manifest.feature_schema == schema_hash(release.vocabulary)
    assert Rules.read(release.folder / "rules.toml").max_per_category == 3
    expected = {"index.faiss", "rules.toml", "ranker/checkpoint.tl", "ranker/model.txt", "user_tower/model.onnx"}
    assert expected <= set(release.manifest.files)


def test_the_release_describes_the_second_after_the_newest_event(release: Release, work: Path) -> None:
    newest = (
        pq.read_table(work / "clean" / "events.parquet")["timestamp"].combine_chunks().cast("int64").to_numpy().max()
    )
    assert release.manifest.as_of == newest // 1_000_000 + 1


def test_windows_of_the_manifest_follow_each_other(release: Release) -> None:
    windows = list(release.manifest.data["windows"].values())
    assert [w["to"] for w in windows[:-1]] == [w["from"] for w in windows[1:]]


def test_ranked_lists_beat_most_popular(report: BuildReport) -> None:
    methods = report.evaluation.methods
    for metric in ("recall@20", "ndcg@20"):
        assert methods["ranked"][metric] > methods["most popular"][metric]
    assert methods["ranked"]["recall@500"] == methods["retrieval"]["recall@500"]
    assert report.evaluation.ranker["candidates"]["auc"] > 0.6


def test_the_whole_path_is_judged_with_the_rules_off_and_on(report: BuildReport) -> None:
    found = report.evaluation
    names = list(found.methods)
    assert names[-4:-2] == ["end to end, rules off", "end to end, rules on"]
    off, on, tastes, exposure = (found.methods[name] for name in names[-4:])
    assert off["diversity@20"] < on["diversity@20"]
    assert tastes["expected ndcg@20"] == 1.0
    assert exposure["ndcg@20"] > max(tastes["ndcg@20"], off["ndcg@20"])
    assert found.oracle[names[-3]]["tastes, by the log"] == pytest.approx(on["ndcg@20"] / tastes["ndcg@20"])
    assert not set(names[-2:]) & {name for d in found.differences for name in (d.method, d.baseline)}
    for requests, verdict in found.slices.values():
        assert not requests or {"ndcg@20", "expected ndcg@20"} <= set(verdict.means[names[-3]])


def test_a_users_own_items_are_near_his_served_embedding(release: Release) -> None:
    users, items = UserRows.open(release.folder / "users"), release.items
    tower = OnnxModel.of(USER_TOWER, release.folder / "user_tower" / "model.onnx")
    rows, histories = np.array(users.features), np.array(users.history)
    embedding = tower(user_features=rows, taste=pool(histories, items.vectors))[USER_EMBEDDING.name]
    index = ItemIndex.open(release.folder / "index.faiss", release.manifest.search["nprobe"], len(items))
    vectors = index.index.reconstruct_n(0, len(items))
    active = np.flatnonzero(histories[:, 4] >= 0)
    own = np.einsum("qd,qhd->qh", embedding[active], vectors[histories[active, :5]]).mean()
    assert own > (embedding[active] @ vectors.T).mean() + 0.1
    assert index.index.metric_type == faiss.METRIC_INNER_PRODUCT


def test_checkpoint_equals_the_text_model(release: Release) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(scale=10, size=(500, 120)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    assert forest_difference(release.folder / "ranker", rows) <= 1e-6
    assert lightgbm.Booster(model_file=release.folder / "ranker" / "model.txt").num_feature() == 120


def test_the_same_build_gives_the_same_files(report: BuildReport, work: Path, tmp_path: Path) -> None:
    again = build(folder_source("synthetic", work / "raw"), tmp_path / "again", TINY)
    first, second = ({n: f for n, f in r.manifest.files.items() if n != PARTS} for r in (report, again))
    assert first == second  # and the table of parts knows when the manifest was written
    assert again.manifest.metrics["test"] == report.manifest.metrics["test"]


def test_a_failed_build_keeps_the_older_release(report: BuildReport, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="expected events"):
        build(folder_source("files", tmp_path), report.folder, TINY)
    Release.open(report.folder).verify()
    assert [p.name for p in report.folder.parent.iterdir()] == ["release"]


def test_wrong_rules_fail_before_anything_is_read(tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text("[diversity]\nmax_per_category = 0\n")
    with pytest.raises(ReleaseError, match="diversity"):
        build(SOURCE, tmp_path / "release", TINY, rules=rules)
    assert not (tmp_path / "release").exists()


def test_item_rows_are_computed_daily_or_as_often_as_allowed() -> None:
    day = 86_400
    windows = Windows(0, 10 * day, 12 * day, 14 * day, 15 * day)
    assert snapshot_times(windows, 60).tolist() == [d * day for d in range(10, 16)]
    assert snapshot_times(windows, 5).tolist() == [10 * day, 12 * day, 14 * day, 15 * day]


@pytest.mark.parametrize("name", ["tower_pairs", "item_snapshots", "impressions", "test_users"])
def test_impossible_sizes_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=name):
        replace(TINY, **{name: 0})


def test_the_command_prints_the_quality_line_the_table_and_the_release(work: Path, tmp_path: Path) -> None:
    from trident.command_group import build as command_line

    arguments = ["build", "--source", "files", "--path", str(work / "raw"), "--out", str(tmp_path / "r")]
    arguments += ["--epochs", "1", "--trees", "5"]
    shown = CliRunner().invoke(command_line(), arguments, env={"COLUMNS": "200"})
    assert shown.exit_code == 0, shown.output
    for text in ("data quality:", "most popular", "ranked", "end to end, rules on", "NDCG@20", "release:"):
        assert text in shown.output


def test_the_report_is_json(report: BuildReport) -> None:
    read = json.loads(json.dumps(report.as_dict()))
    assert read["metrics"]["test"]["methods"]["ranked"]["recall@20"] > 0
    assert {"data", "features", "towers", "ranker", "evaluation", "release"} <= set(read["seconds"])


def test_a_source_without_its_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    from trident.command_group import build as command_line

    arguments = ["build", "--source", "movielens", "--out", str(tmp_path / "r")]
    shown = CliRunner().invoke(command_line(), arguments)
    assert shown.exit_code == 1
    assert "movielens" in shown.output
    assert list(tmp_path.iterdir()) == []
