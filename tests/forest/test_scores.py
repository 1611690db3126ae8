"""The kernel against LightGBM itself."""

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trident.forest import Forest
from trident.forest.sortable import TINY, limits

ZERO = np.float32(TINY)
DENORMAL = np.float32(1e-42)
ODD = np.array(
    [np.nan, np.inf, -np.inf, 0.0, -0.0, DENORMAL, -DENORMAL, ZERO, -ZERO, 2 * ZERO, -2 * ZERO, 3.4e38, -3.4e38],
    np.float32,
)


def agrees(forest: Forest, booster: lgb.Booster, rows: np.ndarray) -> bool:
    """The same float32 as LightGBM's double, but for the last bit of two exponentials."""
    return bool(np.abs(forest.predict(rows)[:, 0] - booster.predict(rows, num_threads=1)).max(initial=0) <= 1e-6)


def sums_equal(forest: Forest, booster: lgb.Booster, rows: np.ndarray) -> bool:
    """For a forest without a sigmoid: equal to the last bit."""
    expected = booster.predict(rows, num_threads=1).astype(np.float32)
    return np.array_equal(forest.predict(rows)[:, 0], expected)


def about_thresholds(booster: lgb.Booster, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`rows` with some values replaced by thresholds of their column, their neighbours, and odd values."""
    splits = booster.trees_to_dataframe().dropna(subset=["split_feature"])
    for column, name in enumerate(booster.feature_name()):
        own = splits.loc[splits["split_feature"] == name, "threshold"].to_numpy(float)
        own = own[np.abs(own) < 1e30].astype(np.float32)
        near = [own, np.nextafter(own, np.float32(np.inf)), np.nextafter(own, np.float32(-np.inf)), ODD]
        chosen = rng.random(len(rows)) < 0.7
        rows[chosen, column] = rng.choice(np.concatenate(near), chosen.sum())
    return rows


@pytest.mark.parametrize("objective", ["binary", "lambdarank", "regression", "regression_l1", "cross_entropy"])
def test_every_objective_is_scored_like_in_lightgbm(objective, trained, forest_of, gaps):
    booster = trained(objective)
    forest = forest_of(booster)
    for n in (1, 2, 3, 4, 63, 64, 65, 500, 1001):
        assert agrees(forest, booster, gaps(n, seed=n))


@pytest.mark.parametrize("leaves", [2, 31, 32, 33, 64, 200])
def test_trees_of_every_size_are_summed_to_the_last_bit(leaves, trained, forest_of, gaps):
    booster = trained("regression", num_leaves=leaves, min_data_in_leaf=5, trees=20)
    forest = forest_of(booster)
    for n in (1, 500):
        assert sums_equal(forest, booster, gaps(n, seed=n))


def test_no_rows_have_no_scores(trained, forest_of):
    assert forest_of(trained()).predict(np.zeros((0, 12), np.float32)).shape == (0, 1)


@pytest.mark.parametrize("missing", [{}, {"use_missing": False}])
def test_values_at_thresholds_and_odd_values_go_the_same_way(missing, trained, forest_of, gaps):
    booster = trained("regression", **missing)
    rows = about_thresholds(booster, gaps(2000, seed=1), np.random.default_rng(2))
    assert sums_equal(forest_of(booster), booster, rows)


def test_columns_of_zeros_and_tiny_values_are_read_as_in_lightgbm(forest_of):
    rng = np.random.default_rng(0)
    x = rng.choice(np.array([0, 1e-35, -1e-35, 3e-35, -3e-35, 1e-40, 1.0, -1.0], np.float32), (4000, 3))
    y = (x[:, 0] > 0) * 3.0 + (x[:, 1] < 0) * 2 + (np.abs(x[:, 2]) < 1e-36) + (x[:, 2] > 0.5)
    parameters = {"objective": "regression", "min_data_in_bin": 1, "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(x, y), 30)
    assert sums_equal(forest_of(booster), booster, np.concatenate([x, np.repeat(ODD, 3).reshape(-1, 3)]))


def test_limits_are_the_last_value_on_the_left():
    thresholds = np.array([1.0, 1.0 + 1e-12, 0.1, -0.1, 1e300, -1e300, 16777217.0])
    kept = np.array([1, 1, np.nextafter(np.float32(0.1), np.float32(0)), -0.1, 3.4028235e38, -np.inf, 16777216])
    assert limits(thresholds).tolist() == limits(kept.astype(np.float32).astype(float)).tolist()


def categorical(rng: np.random.Generator, n: int) -> np.ndarray:
    x = np.stack([rng.integers(0, 90, n), rng.integers(0, 3, n), rng.normal(size=n)], 1).astype(np.float32)
    x[rng.random(n) < 0.1, 0] = np.nan
    return x


def test_categorical_splits_are_scored_with_unknown_negative_broken_and_missing_categories(forest_of):
    rng = np.random.default_rng(1)
    x = categorical(rng, 5000)
    y = np.nan_to_num(x[:, 0]) % 7 + 5 * (x[:, 1] == 1) * (x[:, 2] > 0) + 3 * np.isnan(x[:, 0])
    parameters = {"objective": "regression", "min_data_per_group": 1, "cat_smooth": 1, "verbose": -1, "num_threads": 1}
    booster = lgb.train(parameters, lgb.Dataset(x, y, categorical_feature=[0, 1]), 30)
    forest = forest_of(booster)
    assert len(forest.trees.categories.column) > 30
    rows = categorical(rng, 1500)
    rows[::5, 0] = rng.choice(np.append(ODD, np.float32([-1, -0.5, 0.5, 88.9, 95, 4e9, 1e10])), 300)
    assert sums_equal(forest, booster, rows)
    alike = np.tile(rows[:1], (600, 1))
    alike[:, 2] = rng.normal(size=600)
    for category in (rows[0, 0], np.nan, -1):  # the same in all rows, so that the splits are pruned away
        alike[:, 0] = category
        assert sums_equal(forest, booster, alike)


@pytest.fixture(scope="module")
def regression(trained, forest_of):
    booster = trained("regression", num_leaves=40, min_data_in_leaf=5)
    return booster, forest_of(booster)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 400),
    seed=st.integers(0, 2**32 - 1),
    same=st.sets(st.integers(0, 11), max_size=12),
    values=st.lists(st.floats(width=32), min_size=1, max_size=20),
)
def test_any_rows_are_summed_like_in_lightgbm(n, seed, same, values, regression, gaps):
    booster, forest = regression
    rng = np.random.default_rng(seed)
    rows = about_thresholds(booster, gaps(n, seed=seed), rng)
    chosen = rng.random(rows.shape) < 0.1
    rows[chosen] = rng.choice(np.array(values, np.float32), chosen.sum())
    rows[:, list(same)] = rows[0, list(same)]
    assert sums_equal(forest, booster, rows)
