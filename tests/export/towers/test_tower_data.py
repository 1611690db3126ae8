from __future__ import annotations

import numpy as np
import pytest

from trident.errors import InvalidInput
from trident_export.towers import TowerData

GOOD = {
    "user_rows": np.zeros((2, 40), np.float32),
    "histories": np.full((2, 50), -1, np.int64),
    "items": np.array([0, 2]),
    "item_rows": np.zeros((3, 40), np.float32),
}


def test_the_length_is_the_number_of_pairs():
    assert len(TowerData(**GOOD)) == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user_rows", np.zeros((2, 39), np.float32)),
        ("user_rows", np.zeros((2, 40))),
        ("item_rows", np.zeros((3, 41), np.float32)),
        ("items", np.array([0, 3])),
        ("items", np.array([-1, 0])),
        ("items", np.array([0, 1], np.int32)),
        ("histories", np.full((1, 50), -1, np.int64)),
        ("histories", np.full((2, 50), 3, np.int64)),
        ("weights", np.ones(3, np.float32)),
        ("weights", np.array([1, -1], np.float32)),
        ("weights", np.array([1, np.nan], np.float32)),
    ],
)
def test_what_does_not_fit_is_named(name, value):
    with pytest.raises(InvalidInput, match=f"tower data: '{name}': expected .* got"):
        TowerData(**{**GOOD, name: value})
