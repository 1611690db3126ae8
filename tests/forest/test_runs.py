"""Rows of several users in one matrix, and pruning by what they share."""

import lightgbm as lgb
import numpy as np
import pytest

from trident.contract import FEATURES
from trident.forest import Forest, forest
from trident.forest.runs import fixed_columns, segments, shared_columns

SHARED = shared_columns(FEATURES)


def stacked(sizes: list[int], seed: int = 0) -> np.ndarray:
    """A run of rows per user; user and context columns are equal in it, some of them missing."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(sum(sizes), FEATURES)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.1] = np.nan
    for end, size in zip(np.cumsum(sizes), sizes, strict=True):
        rows[end - size : end, SHARED] = rows[end - size, SHARED]
    return rows


@pytest.fixture(scope="module")
def wide(trained, forest_of) -> Forest:
    """A forest of 120 columns, which splits on those of user and context too."""
    rows = stacked([30] * 100, seed=1)
    y = np.nan_to_num(rows) @ np.random.default_rng(2).normal(size=FEATURES) + 3 * np.isnan(rows[:, 5])
    settings = {"objective": "regression", "verbose": -1, "num_leaves": 63, "min_data_in_leaf": 5, "num_threads": 1}
    return forest_of(lgb.train(settings, lgb.Dataset(rows, y), 40))


@pytest.fixture
def pruned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of tests of what was pruned, in order."""
    made: list[int] = []
    real = Forest._pruned

    def noted(self: Forest, known: np.ndarray):
        tests = real(self, known)
        if tests is not None:
            made.append(len(tests.tests))
        return tests

    monkeypatch.setattr(Forest, "_pruned", noted)
    return made


def test_the_shared_columns_are_those_of_user_and_context():
    assert SHARED.tolist() == [*range(40), *range(80, 100)]
    assert not len(shared_columns(12))


def test_runs_are_cut_where_a_shared_column_changes():
    keys = np.array([[1, 0], [1, 1], [1, 2], [2, 3], [3, 4], [3, 5], [3, 6], [1, 7]], np.int32)
    first = np.array([0])
    assert list(segments(keys, first, 3)) == [(0, 3, True), (3, 4, False), (4, 7, True), (7, 8, False)]
    assert list(segments(keys, first, 4)) == [(0, 8, False)]
    assert list(segments(keys, first, 1)) == [(0, 3, True), (3, 4, True), (4, 7, True), (7, 8, True)]
    assert list(segments(keys, np.array([], np.int64), 4)) == [(0, 8, True)]
    assert not list(segments(keys[:0], first, 4))


def test_fixed_columns_are_equal_in_every_row():
    keys = np.array([[1, 2, 3], [1, 2, 4], [1, 0, 3]], np.int32)
    assert fixed_columns(keys).tolist() == [True, False, False]
    assert fixed_columns(keys[:1]).tolist() == [True, True, True]


def test_one_request_is_pruned_and_scored_to_the_bit_as_without(wide, pruned, monkeypatch):
    rows = stacked([500])
    found = wide.predict(rows)
    assert len(pruned) == 1
    assert pruned[0] < 0.5 * len(wide.whole.tests)
    monkeypatch.setattr(forest, "PAYS", 10**9)
    assert np.array_equal(found, wide.predict(rows))
    assert len(pruned) == 1


@pytest.mark.parametrize("sizes", [[500, 500, 500], [1, 499, 2, 777, 300], [300, 3, 3, 3, 250], [5] * 100, [1] * 300])
def test_stacked_users_are_scored_to_the_bit_as_each_alone(sizes, wide, pruned, monkeypatch):
    monkeypatch.setattr(forest, "PAYS", 50)
    rows = stacked(sizes, seed=3)
    found = wide.predict(rows)
    assert len(pruned) == sum(size >= 250 for size in sizes)
    alone = np.concatenate([wide.predict(part) for part in np.split(rows, np.cumsum(sizes)[:-1])])
    assert np.array_equal(found, alone)


def test_rows_in_any_order_have_the_same_scores(wide, pruned):
    rows = stacked([500, 500], seed=4)
    order = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(wide.predict(rows)[order], wide.predict(rows[order]))
    assert len(pruned) == 2


def test_rows_that_are_all_equal_need_no_test(wide, pruned):
    rows = np.repeat(stacked([1], seed=5), 200, axis=0)
    found = wide.predict(rows)
    assert pruned == [0]
    assert np.array_equal(found, np.repeat(wide.predict(rows[:1]), 200, axis=0))


def test_zeros_of_both_signs_and_other_bits_of_nan_only_cost_pruning(wide):
    rows = stacked([500], seed=6)
    rows[:, 7], rows[::2, 8] = 0.0, 0.0
    rows[1::2, 8] = -0.0
    rows[:, 9] = np.frombuffer(np.array([0x7FC00000, 0xFFC00001], np.uint32).tobytes(), np.float32)[np.arange(500) % 2]
    one_by_one = np.concatenate([wide.predict(rows[i : i + 1]) for i in range(500)])
    assert np.array_equal(wide.predict(rows), one_by_one)


def test_shared_columns_that_are_no_longer_shared_cost_speed_alone(wide, pruned):
    rows = stacked([500], seed=7)
    rows[:, :40] = np.random.default_rng(1).normal(size=(500, 40))  # as if the matrix had another order of columns
    one_by_one = np.concatenate([wide.predict(rows[i : i + 1]) for i in range(500)])
    assert np.array_equal(wide.predict(rows), one_by_one)
    assert not pruned
