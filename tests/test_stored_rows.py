from __future__ import annotations

import numpy as np
import pytest

from trident.errors import ReleaseError
from trident.stored_rows import StoredRows


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_rows_are_those_of_the_array_in_any_order_and_more_than_once(tmp_path, dtype):
    array = np.random.default_rng(0).normal(size=(1000, 128)).astype(dtype)
    np.save(tmp_path / "vectors.npy", array)
    stored = StoredRows(tmp_path / "vectors.npy")
    assert (len(stored), stored.shape, stored.dtype) == (1000, (1000, 128), dtype)
    for rows in ([], [0], [999, 0, 999, 17]):
        chosen = np.array(rows, np.int64)
        np.testing.assert_array_equal(stored[chosen], array[chosen])


def test_a_row_that_is_not_there_is_an_error(tmp_path):
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4), np.float16))
    with pytest.raises(IndexError, match="row 3 of 3"):
        StoredRows(tmp_path / "vectors.npy")[np.array([3])]


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "vectors.npy").write_bytes(b"no array")
    with pytest.raises(ReleaseError, match=r"vectors\.npy cannot be read"):
        StoredRows(tmp_path / "vectors.npy")
    np.save(tmp_path / "line.npy", np.zeros(3))
    with pytest.raises(ReleaseError, match=r"expected rows, got shape \[3\]"):
        StoredRows(tmp_path / "line.npy")
