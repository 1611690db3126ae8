from __future__ import annotations

from pathlib import Path

import lightgbm
import numpy as np
import pytest
import treelite

from trident.contract import FEATURES
from trident.errors import InvalidInput, ReleaseError
from trident_export import ranker
from trident_export.metrics import auc
from trident_export.ranker import RankerConfig, RankerRows, export_ranker, forest_difference, predict, train_ranker

SMALL = RankerConfig(trees=40, leaves=7, min_rows_per_leaf=5, patience=5)


def rows(seed: int, n: int = 3000) -> RankerRows:
    """Rows whose click depends on columns 0 and 119, with missing values and constant columns as in real rows."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, FEATURES)).astype(np.float32)
    features[:, 5] = 3.0
    features[rng.random(n) < 0.3, 7] = np.nan
    labels = (features[:, 0] + features[:, 119] + rng.normal(size=n) > 1).astype(np.int8)
    return RankerRows(features, labels, np.arange(n) // 10, np.ones(n, bool))


@pytest.fixture(scope="module")
def forest() -> lightgbm.Booster:
    return train_ranker(rows(1), rows(2), SMALL, seed=3).booster


def test_it_learns_what_the_click_depends_on(forest: lightgbm.Booster) -> None:
    unseen = rows(9)
    assert auc(unseen.labels, predict(forest, unseen.features)) > 0.85
    assert {0, 119} == set(np.argsort(-forest.feature_importance("gain"))[:2].tolist())


def test_the_same_seed_gives_the_same_forest(forest: lightgbm.Booster) -> None:
    again = train_ranker(rows(1), rows(2), SMALL, seed=3).booster
    assert again.model_to_string() == forest.model_to_string()


def test_rows_of_a_request_are_counted_where_they_stand() -> None:
    some, others = rows(1, 20), rows(2, 30)
    both = some.with_more(others)
    assert some.sizes.tolist() == [10, 10]
    assert both.sizes.tolist() == [10] * 5
    assert len(np.unique(both.request)) == 5
    assert np.array_equal(both.features[20:], others.features, equal_nan=True)
    assert (both.labels[:20] == some.labels).all()
    assert rows(1, 0).sizes.tolist() == []


def test_a_forest_that_sorts_leaves_out_what_is_alike_in_a_request() -> None:
    data = rows(1)
    data.features[:, 3] = np.repeat(np.random.default_rng(0).random(len(data) // 10) < 0.5, 10)
    often = RankerRows(data.features, data.labels | (data.features[:, 3] > 0), data.request, data.logged)
    gains = {
        depth: train_ranker(often, often, RankerConfig(depth=depth, trees=20)).booster.feature_importance("gain")
        for depth in (0, 50)
    }
    assert gains[0].argmax() == 3
    assert gains[50][3] < 0.05 * gains[50].max()


@pytest.mark.parametrize("depth", [0, 20])
def test_the_exported_forest_answers_probabilities(depth: int, tmp_path: Path) -> None:
    config = RankerConfig(depth=depth, trees=40, leaves=7, min_rows_per_leaf=5, patience=5)
    trained = train_ranker(rows(1), rows(2), config, impressions=rows(9))
    assert export_ranker(trained.booster, tmp_path, rows(9).features) <= 1e-6
    fresh = rows(11)
    answer = predict(lightgbm.Booster(model_file=tmp_path / "model.txt"), fresh.features)
    assert auc(fresh.labels, answer) > 0.85
    assert answer.mean() == pytest.approx(fresh.labels.mean(), abs=0.04)


def test_checkpoint_and_text_agree_on_missing_values(forest: lightgbm.Booster, tmp_path: Path) -> None:
    assert export_ranker(forest, tmp_path, rows(4).features) <= 1e-6
    hostile = np.full((3, FEATURES), np.nan, np.float32)
    hostile[1], hostile[2] = np.inf, 0.0
    assert forest_difference(tmp_path, hostile) <= 1e-6


def test_values_on_a_threshold_go_the_same_way(forest: lightgbm.Booster, tmp_path: Path) -> None:
    export_ranker(forest, tmp_path, rows(4).features)
    splits = [split for tree in forest.dump_model()["tree_info"] for split in _splits(tree["tree_structure"])]
    exact = np.zeros((len(splits), FEATURES), np.float32)
    for row, split in enumerate(splits):
        exact[row, split["split_feature"]] = split["threshold"]
    assert forest_difference(tmp_path, exact) <= 1e-6


def _splits(node: dict) -> list[dict]:
    if "split_feature" not in node:
        return []
    return [node, *_splits(node["left_child"]), *_splits(node["right_child"])]


def test_training_stops_when_the_validation_loss_does(tmp_path: Path) -> None:
    noise = rows(1, 300)
    shuffled = RankerRows(noise.features, noise.labels[::-1], noise.request, noise.logged)
    forest = train_ranker(noise, shuffled, RankerConfig(trees=200, leaves=31, min_rows_per_leaf=2, patience=5)).booster
    assert 1 <= forest.num_trees() < 50
    export_ranker(forest, tmp_path, noise.features)
    assert treelite.Model.deserialize(tmp_path / "checkpoint.tl").num_tree == forest.num_trees()


def test_a_checkpoint_that_differs_is_refused(
    forest: lightgbm.Booster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranker, "PARITY", -1.0)
    with pytest.raises(ReleaseError, match="differ by"):
        export_ranker(forest, tmp_path, rows(4, 50).features)


def test_rows_of_one_kind_are_refused() -> None:
    only = rows(1, 100)
    with pytest.raises(InvalidInput, match="one kind"):
        train_ranker(RankerRows(only.features, np.zeros(100), only.request, only.logged), only, SMALL)


def test_a_matrix_of_another_width_is_refused() -> None:
    with pytest.raises(InvalidInput, match="120"):
        RankerRows(np.zeros((2, 119), np.float32), np.zeros(2), np.zeros(2), np.zeros(2))


@pytest.mark.parametrize("wrong", [{"depth": -1}, {"trees": 0}, {"leaves": 1}, {"learning_rate": 0.0}, {"l2": -1.0}])
def test_impossible_sizes_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="ranker"):
        RankerConfig(**wrong)


def test_progress_is_told_for_every_tree() -> None:
    heard: list[tuple[int, int]] = []
    train_ranker(rows(1, 500), rows(2, 500), RankerConfig(trees=3), on_tree=lambda *step: heard.append(step))
    best = len(heard) - 3
    assert heard == [(1, 3), (2, 3), (3, 3), *((tree, best) for tree in range(1, best + 1))]


def test_scores_become_the_share_of_clicks_among_impressions_and_keep_their_order(
    forest: lightgbm.Booster, tmp_path: Path
) -> None:
    shown = rows(9)
    seldom = RankerRows(shown.features, shown.labels & rows(10).labels, shown.request, shown.logged)
    trained = train_ranker(rows(1), rows(2), SMALL, seed=3, impressions=seldom)
    fresh = rows(11).features
    before, after = predict(forest, fresh), predict(trained.booster, fresh)
    assert trained.line.slope > 0
    assert (np.argsort(before, kind="stable") == np.argsort(after, kind="stable")).all()
    assert abs(after.mean() - seldom.labels.mean()) < 0.03 < abs(before.mean() - seldom.labels.mean())
    assert export_ranker(trained.booster, tmp_path, fresh) <= 1e-6


def test_the_curves_have_a_point_per_tree() -> None:
    trained = train_ranker(rows(1, 500), rows(2, 500), RankerConfig(trees=4))
    assert len(trained.validation_loss) == len(trained.train_loss) == 4
    assert trained.train_loss[-1] < trained.train_loss[0]
