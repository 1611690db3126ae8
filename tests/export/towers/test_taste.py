from __future__ import annotations

import numpy as np
import pytest
import torch

from trident.errors import InvalidInput
from trident.taste import pool

VECTORS = np.array([[1, 0], [0, 1], [4, 4]], np.float16)


def test_the_mean_of_the_known_items_wherever_the_pads_are():
    got = pool(np.array([[0, 1, -1], [-1, 2, -1], [-1, -1, -1], [0, 0, 1]]), VECTORS)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, [[0.5, 0.5], [4, 4], [0, 0], [2 / 3, 1 / 3]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(0, 50), (2, 0)])
def test_nothing_to_pool_gives_zeros(shape):
    assert not pool(np.empty(shape, np.int64), VECTORS).any()
    assert pool(np.empty(shape, np.int64), VECTORS).shape == (shape[0], 2)


def test_a_row_that_does_not_exist_is_named():
    with pytest.raises(InvalidInput, match="below 3, got 3"):
        pool(np.array([[0, 3]]), VECTORS)


def test_mapped_vectors_give_the_same(tmp_path):
    np.save(tmp_path / "v.npy", VECTORS)
    history = np.array([[0, 2, -1]])
    np.testing.assert_array_equal(pool(history, np.load(tmp_path / "v.npy", mmap_mode="r")), pool(history, VECTORS))


def test_serving_and_training_pool_alike(world, towers):
    with torch.inference_mode():
        trained = towers.model.taste(torch.from_numpy(world.validation.histories)).numpy()
    exact = towers.model.vectors.detach().numpy()
    np.testing.assert_allclose(pool(world.validation.histories, exact), trained, atol=1e-5)
