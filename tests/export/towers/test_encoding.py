from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trident.errors import InvalidInput
from trident_export.towers.encoding import ColumnStatistics, FeatureEncoder, code_index

NAN = np.nan


def encode(training: list[list[float]], rows: list[list[float]]) -> np.ndarray:
    encoder = FeatureEncoder(ColumnStatistics.fit(np.array(training, np.float32), {}))
    return encoder(torch.tensor(rows)).detach().numpy()


def test_numbers_are_standardised_and_clipped():
    np.testing.assert_allclose(encode([[1.0], [3.0]], [[1.0], [2.0], [4.0], [1e9]]), [[-1], [0], [2], [4]], atol=1e-6)


def test_a_missing_number_is_the_mean_and_has_an_indicator_where_training_had_holes():
    got = encode([[1.0, 1.0], [3.0, 3.0], [NAN, 2.0]], [[NAN, NAN], [3.0, 2.0]])
    np.testing.assert_allclose(got, [[0, 0, 1], [1, 0, 0]], atol=1e-6)


def test_columns_that_never_vary_say_nothing():
    assert encode([[5.0, NAN], [5.0, NAN]], [[1e6, 1.0]]).shape == (1, 0)


def test_heavy_tailed_counts_are_taken_as_logarithms():
    counts = np.concatenate([np.zeros(90), np.full(10, 1000.0)]).reshape(-1, 1)
    statistics = ColumnStatistics.fit(counts.astype(np.float32), {})
    assert statistics.log.tolist() == [True]
    assert statistics.mean[0] == pytest.approx(0.1 * np.log(1001))


def test_codes_are_shifted_by_one_and_anything_else_is_unknown():
    codes = torch.tensor([0.0, 2.0, 3.0, -1.0, NAN, np.inf])
    assert code_index(codes, 3).tolist() == [1, 3, 0, 0, 0, 0]


def test_an_unknown_code_adds_nothing_before_training():
    encoder = FeatureEncoder(ColumnStatistics.fit(np.zeros((2, 1), np.float32), {0: 3}))
    got = encoder(torch.tensor([[NAN], [1.0]]))
    assert not got[0].any()
    assert got[1].all()


@pytest.mark.parametrize("categories", [{1: 3}, {-1: 3}, {0: 0}])
def test_categorical_columns_must_exist_and_have_codes(categories):
    with pytest.raises(InvalidInput, match="categorical columns"):
        ColumnStatistics.fit(np.zeros((2, 1), np.float32), categories)


@given(arrays.arrays(np.float32, (4, 3), elements=st.floats(width=32)), arrays.arrays(np.float32, (2, 3)))
def test_any_row_is_encoded_to_finite_numbers(training, rows):
    encoder = FeatureEncoder(ColumnStatistics.fit(training, {2: 5}))
    assert torch.isfinite(encoder(torch.from_numpy(rows))).all()
