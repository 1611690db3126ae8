from __future__ import annotations

import faiss
import numpy as np
import pytest

from trident.errors import InvalidInput, ReleaseError
from trident.search import ItemIndex
from trident_export.index import build_index, exact_similarity, measured_recall, nearest_of, search, write_index


def unit(rows: int, seed: int) -> np.ndarray:
    """Clustered vectors of unit length."""
    rng, shared = np.random.default_rng(seed), np.random.default_rng(0)
    found = shared.normal(size=(20, 128))[rng.integers(20, size=rows)] + 0.8 * rng.normal(size=(rows, 128))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def large():
    embeddings, queries = unit(6_000, 1), unit(100, 2)
    return embeddings, queries, *build_index(embeddings, queries, exact_below=1_000)


def test_a_small_catalogue_is_searched_exactly():
    embeddings, queries = unit(700, 1), unit(20, 2)
    index, settings = build_index(embeddings, queries)
    assert (settings.factory, settings.recall, settings.k, settings.queries) == ("Flat", 1.0, 500, 20)
    rows, similarity = search(index, queries, 10)
    np.testing.assert_array_equal(rows, np.argsort(-queries @ embeddings.T, axis=1)[:, :10])
    np.testing.assert_allclose(similarity, np.sort(-queries @ embeddings.T, axis=1)[:, :10] * -1, atol=1e-6)


def test_a_large_catalogue_reaches_the_recall_without_reading_everything(large):
    embeddings, queries, index, settings = large
    assert settings.factory == "IVF310,SQ8"
    assert settings.recall >= 0.95
    assert 1 < settings.nprobe < 310
    rows, _ = search(index, queries, 500, nprobe=settings.nprobe)
    best = np.argsort(-queries @ embeddings.T, axis=1)[:, :500]
    by_hand = np.mean([len(np.intersect1d(a, b)) / 500 for a, b in zip(rows, best, strict=True)])
    assert by_hand == pytest.approx(settings.recall, abs=1e-3)


def test_recall_that_8_bits_cannot_reach_gets_16_bits():
    _, settings = build_index(unit(3_000, 1), recall=0.9999, exact_below=1_000)
    assert settings.factory.endswith("SQfp16")


def test_building_is_repeatable(large):
    embeddings, queries, index, settings = large
    again, repeated = build_index(embeddings, queries, exact_below=1_000)
    assert (repeated.nprobe, repeated.recall) == (settings.nprobe, settings.recall)
    np.testing.assert_array_equal(search(again, queries, 50, nprobe=4)[0], search(index, queries, 50, nprobe=4)[0])


def test_a_selector_leaves_only_allowed_rows_and_pads_the_rest(large):
    _, queries, index, _ = large
    rows, similarity = search(index, queries, 8, nprobe=310, selector=faiss.IDSelectorRange(10, 15))
    assert {*rows[:, :5].ravel().tolist()} == {10, 11, 12, 13, 14}
    assert (rows[:, 5:] == -1).all()
    assert np.isnan(similarity[:, 5:]).all()


def test_the_written_file_serves_the_same_answers(large, tmp_path):
    embeddings, queries, index, settings = large
    write_index(index, tmp_path / "index.faiss")
    served = ItemIndex.open(tmp_path / "index.faiss", settings.nprobe, len(embeddings))
    rows, similarity = served.search(queries[0], 50, np.full(750, 255, np.uint8), len(embeddings))
    expected = search(index, queries[:1], 50, nprobe=settings.nprobe)
    np.testing.assert_array_equal(rows, expected[0][0])
    np.testing.assert_allclose(similarity, expected[1][0])


class Counting:
    """Embeddings that note how often each row was asked for."""

    def __init__(self, embeddings: np.ndarray) -> None:
        self.embeddings, self.asked = embeddings, np.zeros(len(embeddings), int)

    def __len__(self) -> int:
        return len(self.embeddings)

    def __getitem__(self, rows):
        self.asked[rows] += 1
        return self.embeddings[rows]


def test_embeddings_that_come_in_batches_make_the_same_index(monkeypatch):
    embeddings, queries = unit(6_000, 1), unit(100, 2)
    whole, expected = build_index(embeddings, queries, exact_below=1_000)
    monkeypatch.setattr("trident_export.index.BATCH", 700)
    index, settings = build_index(Counting(embeddings), queries, exact_below=1_000)
    assert (settings.nprobe, settings.recall) == (expected.nprobe, expected.recall)
    np.testing.assert_array_equal(search(index, queries, 50, nprobe=310)[0], search(whole, queries, 50, nprobe=310)[0])


def test_a_flat_index_asks_for_no_row_more_often_than_its_recall_needs(monkeypatch):
    monkeypatch.setattr("trident_export.index.BATCH", 256)
    counting = Counting(unit(1_000, 1))
    build_index(counting, unit(1, 2))
    assert counting.asked.max() <= 3  # the shape check, the index, and one query's recall
    assert counting.asked.min() >= 1


def test_the_exact_nearest_are_the_same_in_parts():
    embeddings, queries = unit(900, 1), unit(5, 2)
    parts = [exact_similarity(embeddings[a : a + 300], queries, 50) for a in (0, 300, 600)]
    np.testing.assert_allclose(nearest_of(parts, 50), exact_similarity(embeddings, queries, 50), rtol=1e-6)


def test_one_item_is_a_catalogue():
    index, settings = build_index(unit(1, 1))
    assert (settings.k, settings.recall) == (1, 1.0)
    assert search(index, unit(1, 1), 3)[0].tolist() == [[0, -1, -1]]


def test_recall_counts_ties_and_no_duplicates():
    embeddings = np.ones((4, 128), np.float32)
    exact = exact_similarity(embeddings, embeddings[:1], 2)
    assert measured_recall(np.array([[3, 2]]), embeddings, embeddings[:1], exact) == 1.0
    assert measured_recall(np.array([[3, 3]]), embeddings, embeddings[:1], exact) == 0.5
    assert measured_recall(np.array([[3, -1]]), embeddings, embeddings[:1], exact) == 0.5


@pytest.mark.parametrize("wrong", [np.empty((0, 128), np.float32), np.ones((2, 64), np.float32), np.ones((2, 128))])
def test_ill_shaped_embeddings_are_refused(wrong):
    with pytest.raises(InvalidInput, match="index: embeddings"):
        build_index(wrong)


def test_embeddings_that_are_not_numbers_are_refused():
    with pytest.raises(ReleaseError, match="NaN"):
        build_index(np.full((2, 128), np.nan, np.float32))


def test_the_thread_count_of_faiss_is_left_as_it_was():
    before = faiss.omp_get_max_threads()
    build_index(unit(50, 1))
    assert faiss.omp_get_max_threads() == before
