from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
import treelite

from trident.errors import ReleaseError
from trident.forest import Forest, UnsupportedForest, predictor

RNG = np.random.default_rng(5)


def rows_with_gaps(n: int, features: int = 12) -> np.ndarray:
    rows = RNG.normal(size=(n, features)).astype(np.float32)
    rows[RNG.random(rows.shape) < 0.2] = np.nan
    rows[:, 3] = np.round(rows[:, 3])  # ties with thresholds
    rows[:, 4] = np.nan_to_num(rows[:, 4])  # a column that was never missing in training
    return rows


def trained(objective: str = "binary", **parameters: object) -> lgb.Booster:
    x = rows_with_gaps(3000)
    y = (np.nan_to_num(x[:, 0]) + np.isnan(x[:, 1]) + x[:, 4] * np.nan_to_num(x[:, 3]) > 0.3).astype(float)
    settings = {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 31, **parameters}
    return lgb.train(settings, lgb.Dataset(x, y, free_raw_data=False), 40)


def forest_of(booster: lgb.Booster, folder: Path) -> Forest:
    treelite.frontend.from_lightgbm(booster).serialize(folder / "checkpoint.tl")
    return Forest.read(folder / "checkpoint.tl")


@pytest.mark.parametrize("objective", ["binary", "regression", "cross_entropy"])
def test_scores_equal_lightgbm_with_missing_values(objective, tmp_path):
    booster = trained(objective)
    rows = rows_with_gaps(1001)
    rows[:, 4][RNG.random(1001) < 0.3] = np.nan  # missing where training never saw it missing
    rows[:, 7][::9], rows[:, 1][::7], rows[:, 1][::11] = np.inf, np.inf, -np.inf
    expected = booster.predict(rows)
    assert np.abs(forest_of(booster, tmp_path).predict(rows)[:, 0] - expected).max() <= 1e-6


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 127, 128, 129, 500])
def test_every_number_of_rows_is_scored(n, tmp_path):
    booster = trained()
    rows = rows_with_gaps(max(n, 1))[:n]
    expected = booster.predict(rows) if n else np.zeros(0)
    found = forest_of(booster, tmp_path).predict(rows)
    assert found.shape == (n, 1)
    assert np.allclose(found[:, 0], expected, atol=1e-6)


def test_values_at_a_threshold_and_beside_it_go_the_same_way_as_in_lightgbm(tmp_path):
    booster = trained()
    forest = forest_of(booster, tmp_path)
    size = np.abs(forest.threshold)
    inner = (size > 1e-30) & (size < 1e30)  # LightGBM reads |x| ≤ 1e-35 as 0; huge ones are for missing values
    thresholds = forest.threshold[inner]
    rows = np.repeat(rows_with_gaps(1), 3 * len(thresholds), axis=0)
    feature = np.repeat(forest.feature[inner] % forest.features, 3)
    beside = [thresholds, np.nextafter(thresholds, np.float32(np.inf)), np.nextafter(thresholds, np.float32(-np.inf))]
    rows[np.arange(len(rows)), feature] = np.stack(beside, 1).ravel()
    assert np.abs(forest.predict(rows)[:, 0] - booster.predict(rows)).max() <= 1e-6


def test_a_tree_that_is_one_leaf_is_scored(tmp_path):
    x = RNG.normal(size=(200, 3)).astype(np.float32)
    booster = lgb.train({"objective": "binary", "verbose": -1}, lgb.Dataset(x, np.arange(200) % 2), 1)
    stump = lgb.train(
        {"objective": "binary", "verbose": -1, "min_data_in_leaf": 200}, lgb.Dataset(x, np.arange(200) % 2), 1
    )
    for model in (booster, stump):
        assert np.allclose(forest_of(model, tmp_path).predict(x)[:, 0], model.predict(x), atol=1e-6)


def test_what_the_kernel_cannot_take_is_refused_and_scored_by_treelite(tmp_path):
    x = np.stack([RNG.integers(0, 9, 2000), RNG.normal(size=2000)], 1).astype(np.float32)
    data = lgb.Dataset(x, (x[:, 0] % 2), categorical_feature=[0])
    categorical = lgb.train({"objective": "binary", "verbose": -1}, data, 3)
    with pytest.raises(UnsupportedForest, match="categorical"):
        forest_of(categorical, tmp_path)
    scores = predictor(tmp_path / "checkpoint.tl")(x[:50])
    assert np.abs(scores[:, 0] - categorical.predict(x[:50])).max() <= 1e-6
    many = lgb.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lgb.Dataset(x, x[:, 0] % 3), 3)
    with pytest.raises(UnsupportedForest, match="several outputs"):
        forest_of(many, tmp_path)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "checkpoint.tl").write_bytes(b"not a forest")
    with pytest.raises(ReleaseError, match="cannot be read"):
        Forest.read(tmp_path / "checkpoint.tl")
