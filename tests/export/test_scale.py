"""A scale release of any size is whole: it verifies, answers, is published, and is the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.contract import CROSS_FEATURES, ITEM_FEATURES, USER_FEATURES
from trident.errors import InvalidInput
from trident.pipeline import Pipeline
from trident.release import Release
from trident.rules import Rules
from trident.taste import pool
from trident.users import UserRows
from trident_export import scale_vectors
from trident_export.bystanders import of_release
from trident_export.publishing.publish import publish
from trident_export.scale import ScaleConfig, ScaleReport, build_scale, forest_shape
from trident_export.scale_vectors import HalfVectors, Mixture, blocks
from trident_export.scale_words import numbered

MOMENT = 1_780_000_000
SMALL = ScaleConfig(items=3_000, users=150, trees=40, leaves=8, as_of=MOMENT)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> ScaleReport:
    return build_scale(tmp_path_factory.mktemp("scale") / "release", SMALL)


@pytest.fixture(scope="module")
def release(made) -> Release:
    return Release.open(made.folder)


def test_it_verifies_and_its_manifest_says_what_it_is(made, release):
    release.verify()
    assert (release.manifest.items, release.manifest.users, release.manifest.as_of) == (3_000, 150, MOMENT)
    assert release.manifest.data["source"].startswith("scale: 3000 items, 150 users, forest 40x8, seed 0")
    assert release.manifest.golden
    assert {"items", "users", "models", "index", "fingerprints"} <= set(made.seconds)


def test_it_is_published(made, tmp_path):
    assert publish(made.folder, tmp_path / "repository") == 1


def test_users_get_answers_near_what_they_like(release):
    rows = np.arange(20)
    users = UserRows.open(release.folder / "users")
    known = of_release(release, users, Rules.read(release.folder / "rules.toml"), rows.tolist())
    pipeline = Pipeline.open(release.folder, known)
    asked = np.array([[users.ids[row]] for row in rows], np.object_)
    tensors = pipeline.trace(user_id=asked, record=np.zeros((20, 1), bool))
    pipeline.close()
    assert (tensors["item_id"] != b"").all()
    np.testing.assert_allclose(np.linalg.norm(tensors["user_embedding"], axis=1), 1, atol=1e-5)
    taste = pool(users.history[:20], release.items.vectors)
    liked = taste.any(axis=1)
    assert (np.einsum("ij,ij->i", tensors["user_embedding"], taste)[liked] > 0.4).all()
    assert (tensors["similarity"][liked, 0] > 0.4).all()
    assert len(np.unique(tensors["click_probability"].round(6))) > 100


def test_vectors_have_unit_length_and_lie_in_clusters(release):
    vectors = HalfVectors(np.asarray(release.items.vectors))[:500]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=2e-3)
    likeness = vectors @ vectors.T
    same = release.items.category[:500, None] == release.items.category[None, :500]
    assert likeness[same & ~np.eye(500, dtype=bool)].mean() > 0.15 > 3 * abs(likeness[~same].mean())


def test_ids_find_their_rows_and_columns_fit_each_other(release):
    items = release.items
    assert items.ids.take(np.array([0, 2_999])) == [b"i0000", b"i2999"]
    assert items.rows([b"i0042", b"i2999", b"i3000"]).tolist() == [42, 2_999, -1]
    assert items.title(7) == "Item 0007"
    assert (items.features[:, 0] == items.category).all()
    assert 0.9 < items.in_stock.mean() < 0.99
    blocked = [(items.blocked[:, 0] >> np.uint64(region) & np.uint64(1)).mean() for region in (0, 18, 19)]
    assert blocked == pytest.approx([0.02, 0.1, 0.7], abs=0.03)
    assert items.popular.shape == (21, 1_000)


def test_the_forest_has_the_shape_asked_for_and_splits_on_all_groups(release):
    booster = lightgbm.Booster(model_file=release.folder / "ranker" / "model.txt")
    table = booster.trees_to_dataframe()
    assert booster.num_trees() == 40
    assert (table[table.left_child.isna()].groupby("tree_index").size() == 8).all()
    gain = booster.feature_importance()
    ends = np.cumsum([USER_FEATURES, ITEM_FEATURES, 20, CROSS_FEATURES])
    assert all(gain[a:b].sum() > 0 for a, b in zip([0, *ends], ends, strict=False))


def test_the_same_seed_gives_the_same_files(made, tmp_path):
    again = build_scale(tmp_path / "again", SMALL)
    first, second = ({n: f["sha256"] for n, f in r.manifest.files.items()} for r in (made, again))
    assert {name for name in first if first[name] != second[name]} <= {"index.faiss", "parts.json"}
    assert first["index.faiss"] == second["index.faiss"]
    other = Mixture.of(3_000, 50, seed=1)
    assert not np.allclose(other.centres, Mixture.of(3_000, 50, seed=0).centres)


def test_blocks_are_made_apart_and_cover_all_rows(monkeypatch):
    monkeypatch.setattr(scale_vectors, "BLOCK", 400)
    assert blocks(1_000) == [(0, slice(0, 400)), (1, slice(400, 800)), (2, slice(800, 1_000))]
    mixture = Mixture.of(1_000, 50, 0)
    whole, part = mixture.topics(1, 400), mixture.topics(1, 100)
    np.testing.assert_array_equal(whole[:100], part)
    np.testing.assert_array_equal(mixture.vectors(1, whole)[:100], mixture.vectors(1, part))
    assert not np.array_equal(mixture.topics(2, 400), whole)


def test_numbered_names():
    assert numbered(b"i", slice(9, 12), 3).view("S4").ravel().tolist() == [b"i009", b"i010", b"i011"]


@pytest.mark.parametrize("wrong", ["300", "300x", "x63", "3.5x2", "300x63x2"])
def test_a_forest_that_has_no_shape_is_refused(wrong):
    with pytest.raises(InvalidInput, match="expected trees x leaves such as 300x63"):
        forest_shape(wrong)


@pytest.mark.parametrize(
    "wrong", [{"items": 10}, {"users": 0}, {"leaves": 1}, {"recall": 1.5}, {"kinds": ("IVF",)}, {"trees": 0}]
)
def test_sizes_that_make_no_release_are_refused(wrong):
    with pytest.raises(InvalidInput, match="expected"):
        ScaleConfig(**wrong)


def test_the_command_makes_one(tmp_path: Path):
    arguments = "build --source scale --items 1500 --users 30 --forest 5x4 --index IVF16,SQ8 --recall-target 0.9 --out"
    result = CliRunner().invoke(command_line(), [*arguments.split(), str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "1,500 items, 30 users" in result.output
    made = Release.open(tmp_path / "made")
    assert made.manifest.search["factory"] == "IVF16,SQ8"
    assert made.manifest.search["recall"] >= 0.9


def test_options_that_it_has_no_use_for_are_refused(tmp_path: Path):
    arguments = ["build", "--source", "scale", "--epochs", "3", "--out", str(tmp_path / "made")]
    result = CliRunner().invoke(command_line(), arguments)
    assert result.exit_code != 0
    assert "expected no --epochs, got 3" in f"{result.output} {result.exception}"
    assert not (tmp_path / "made").exists()
