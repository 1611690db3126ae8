from __future__ import annotations

import numpy as np

from trident_export.index import build_index
from trident_export.retrieval import nearest, places, search_index, similarities


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    vectors = rng.normal(size=(n, 128)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_nearest_by_hand_leaves_out_and_pads() -> None:
    items = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], np.float32)
    found = nearest(np.array([[1.0, 0.2]], np.float32), items, [np.array([0])], 3)
    assert found.rows.tolist() == [[2, 1, -1]]
    np.testing.assert_allclose(found.similarity, [[0.6, 0.2, np.nan]], rtol=1e-6)


def test_the_index_retrieves_what_exact_search_does() -> None:
    rng = np.random.default_rng(0)
    users, items = unit(rng, 20), unit(rng, 700)
    left_out = [rng.choice(700, size, replace=False) for size in rng.integers(0, 650, 20)]
    index, search = build_index(items, users)
    exact = nearest(users, items, left_out, 100)
    found = search_index(index, search.nprobe, users, left_out, 100)
    assert (found.rows == exact.rows).all()
    np.testing.assert_allclose(found.similarity, exact.similarity, atol=1e-6)
    assert not any(np.isin(rows, out).any() for rows, out in zip(found.rows, left_out, strict=True))


def test_places_are_those_in_the_list_of_the_nearest() -> None:
    rng = np.random.default_rng(2)
    users, items = unit(rng, 6), unit(rng, 40)
    left_out = [rng.choice(30, 5, replace=False) for _ in range(6)]
    rows = rng.integers(30, 40, 6)
    lists = nearest(users, items, left_out, 40).rows
    expected = [list(found).index(row) for found, row in zip(lists, rows, strict=True)]
    assert places(users, items, left_out, rows).tolist() == expected


def test_similarities_of_given_rows_are_nan_where_they_pad() -> None:
    rng = np.random.default_rng(1)
    users, items = unit(rng, 2), unit(rng, 5)
    found = similarities(users, items, np.array([[4, -1], [0, 2]]))
    assert np.isnan(found[0, 1])
    np.testing.assert_allclose(found[1], items[[0, 2]] @ users[1], atol=1e-6)
