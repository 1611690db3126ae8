"""Bits of items: looked at, lent out, given back."""

import numpy as np
import pytest

from trident.bitmap import are_set, first_set, set_rows, without


def packed(allowed: np.ndarray) -> np.ndarray:
    return np.packbits(allowed, bitorder="little")


def test_bits_by_hand():
    bitmap = np.array([0b00000101, 0b10000000], np.uint8)  # items 0, 2 and 15
    assert set_rows(bitmap).tolist() == [0, 2, 15]
    assert are_set(bitmap, np.array([0, 1, 2, 15, 14])).tolist() == [True, False, True, True, False]
    assert first_set(bitmap, np.array([1, 15, -1, 2, 0]), 2).tolist() == [1, 3]


@pytest.mark.parametrize("n", [1, 8, 13, 300])
def test_every_question_agrees_with_a_bool_per_item(n):
    rng = np.random.default_rng(n)
    allowed = rng.random(n) < 0.3
    rows = rng.integers(-1, n, 50)
    bitmap = packed(allowed)
    hits = np.flatnonzero((rows >= 0) & allowed[rows])
    assert set_rows(bitmap).tolist() == np.flatnonzero(allowed).tolist()
    assert are_set(bitmap, rows)[rows >= 0].tolist() == allowed[rows[rows >= 0]].tolist()
    for k in (0, 1, 7, 50, 99):
        assert first_set(bitmap, rows, k).tolist() == hits[:k].tolist()


def test_lent_bits_are_given_back_even_after_an_error():
    bitmap = packed(np.arange(20) != 7)
    kept = bitmap.copy()

    def fail() -> None:
        with without(bitmap, np.array([3, 3, 19, -1, 7])) as hidden:  # one of them twice, one not set
            assert hidden == 2
            assert set_rows(bitmap).tolist() == [i for i in range(20) if i not in (3, 7, 19)]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert np.array_equal(bitmap, kept)
