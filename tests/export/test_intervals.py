from __future__ import annotations

import math

import numpy as np
import pytest

from trident_export.intervals import interval, resampled_means


def test_the_interval_of_a_mean_is_that_of_theory() -> None:
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)[:, None]
    low, high = interval(resampled_means(values)[:, 0])
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_columns_share_their_draws() -> None:
    values = np.random.default_rng(2).normal(size=(50, 1))
    means = resampled_means(np.hstack([values, values + 1]))
    np.testing.assert_allclose(means[:, 1] - means[:, 0], 1.0)


def test_the_seed_decides() -> None:
    values = np.arange(20.0)[:, None]
    assert (resampled_means(values, 3) == resampled_means(values, 3)).all()
    assert (resampled_means(values, 3) != resampled_means(values, 4)).any()


def test_users_without_a_value_are_left_out_and_nobody_gives_nan() -> None:
    values = np.array([[1.0, np.nan], [np.nan, np.nan]])
    means = resampled_means(values)
    assert set(means[np.isfinite(means[:, 0]), 0]) == {1.0}
    assert all(math.isnan(bound) for bound in interval(means[:, 1]))
    assert math.isnan(interval(resampled_means(np.empty((0, 1)))[:, 0])[0])
