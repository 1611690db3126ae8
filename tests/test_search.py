"""The search returns as many allowed items as there are, whatever the filter leaves."""

from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trident import search
from trident.search import ItemIndex

N, K = 6000, 500


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    rng = np.random.default_rng(3)
    return unit(rng.normal(size=(40, 128))[rng.integers(0, 40, N)] + 0.7 * rng.normal(size=(N, 128)))


@pytest.fixture(scope="module")
def index(vectors, tmp_path_factory) -> ItemIndex:
    made = faiss.index_factory(128, "IVF128,SQ8", faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    path: Path = tmp_path_factory.mktemp("index") / "index.faiss"
    faiss.write_index(made, str(path))
    return ItemIndex.open(path, 4, N)


def found_among(
    index: ItemIndex, query: np.ndarray, allowed: np.ndarray, hidden: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    return index.search(query, K, np.packbits(allowed, bitorder="little"), int(allowed.sum()), hidden)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0, 4), st.booleans())
def test_as_many_allowed_items_come_as_there_are_and_none_twice(index, vectors, seed, zeros, near):
    """`zeros` is how rare allowed items are, from all to 1 of 10,000, spread evenly or `near` one point."""
    rng = np.random.default_rng(seed)
    share = 10**-zeros
    if near:
        likeness = vectors @ vectors[rng.integers(N)]
        allowed = likeness >= np.quantile(likeness, 1 - share)
    else:
        allowed = rng.random(N) < share
    rows, similarity = found_among(index, vectors[rng.integers(N)], allowed)
    wanted = min(K, int(allowed.sum()))
    assert (rows[:wanted] >= 0).all()
    assert (rows[wanted:] == -1).all()
    assert allowed[rows[:wanted]].all()
    assert len(np.unique(rows[:wanted])) == wanted
    assert (np.diff(similarity[:wanted]) <= 0).all()
    assert np.isnan(similarity[wanted:]).all()


def test_few_allowed_items_are_compared_as_the_lists_would(index, vectors, monkeypatch):
    allowed = np.zeros(N, bool)
    allowed[:: N // 50] = True
    exact, near = found_among(index, vectors[1], allowed)
    monkeypatch.setattr(search, "MOST_EXACT", 0)
    read, likeness = found_among(index, vectors[1], allowed)
    assert exact.tolist() == read.tolist()
    assert near == pytest.approx(likeness, abs=1e-5, nan_ok=True)


@pytest.mark.parametrize(("share", "seen"), [(1.0, 150), (1.0, 1_500), (0.95, 150), (0.85, 600)])
def test_dropping_what_is_not_allowed_finds_the_same_as_the_filter_inside(index, vectors, monkeypatch, share, seen):
    allowed, index = np.random.default_rng(5).random(N) < share, replace(index, nprobe=40)
    for query in vectors[:30]:
        hidden = allowed.copy()
        hidden[np.argsort(-(vectors @ query))[:seen]] = False  # what the user has seen of what is near
        with monkeypatch.context() as inside:
            inside.setattr(search, "MOST_DROPPED", 0)
            expected = found_among(index, query, hidden)
        with monkeypatch.context() as outside:
            outside.setattr(ItemIndex, "read", None)
            found = found_among(index, query, hidden, hidden=int(allowed.sum() - hidden.sum()))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_a_filter_that_takes_more_is_asked_inside_and_what_a_user_has_seen_does_not_count_as_taken(index):
    assert [index._drops(K, count, 0) for count in (N, 4_800, 4_799)] == [True, True, False]  # 80 % of 6,000
    assert index._drops(K, 3_300, 1_500)
    assert not index._drops(K, K - 1, N)


def test_how_many_are_searched_when_what_is_not_allowed_is_dropped(index):
    """By hand: 1.05 · 500 + 20; 100 are hidden: 1.05 · 600 + 20; half allowed: 1.05 · (500 + 3 · √250) / 0.5 + 20."""
    assert [index._enough(K, N, 0), index._enough(K, N - 100, 100), index._enough(K, N // 2, 0)] == [545, 650, 1170]
    assert index._enough(K, 0, 0) > search.MOST_DROPPED


def test_where_all_that_is_near_is_hidden_the_filter_is_asked_inside(index, vectors):
    allowed = np.ones(N, bool)
    allowed[np.argsort(-(vectors @ vectors[0]))[: 2 * K]] = False
    rows, _ = found_among(index, vectors[0], allowed)
    assert (rows >= 0).all()
    assert allowed[rows].all()


def test_a_filter_costs_little_recall(index, vectors):
    rng = np.random.default_rng(1)
    for share in (0.5, 0.2):
        allowed, recalls = rng.random(N) < share, []
        for query in vectors[:20]:
            best = np.argsort(-np.where(allowed, vectors @ query, -9))[:100]
            recalls.append(np.isin(best, found_among(index, query, allowed)[0]).mean())
        assert np.mean(recalls) > 0.95


def test_more_lists_are_read_only_as_far_as_that_is_affordable(index, monkeypatch):
    assert [index.nprobe_for(count) for count in (N, N // 2, N // 100, 0)] == [4, 8, 128, 128]
    monkeypatch.setattr(search, "MOST_READ", N // 4)
    assert [index.nprobe_for(count) for count in (N, N // 2, N // 100)] == [4, 8, 32]


def test_how_many_more_lists_a_filter_needs_is_what_the_manifest_says(index, tmp_path):
    path = tmp_path / "index.faiss"
    faiss.write_index(index.index, str(path))
    served = ItemIndex.served(path, {"nprobe": 8, "widening": 0.5, "factory": "IVF128,SQ8"}, N)
    assert [served.nprobe_for(count) for count in (N, N // 4, N // 16)] == [8, 16, 32]
    older = ItemIndex.served(path, {"nprobe": 8, "factory": "IVF128,SQ8"}, N)
    assert [older.nprobe_for(count) for count in (N, N // 4)] == [8, 32]


def test_the_similarity_of_an_item_is_that_of_the_search(index, vectors):
    rows, similarity = found_among(index, vectors[9], np.ones(N, bool))
    assert index.similarity(vectors[9], rows) == pytest.approx(similarity, abs=1e-5)


@pytest.mark.parametrize("factory", ["Flat", "IVF16,SQ8"])
def test_a_similarity_is_the_same_number_in_any_company(factory):
    rng = np.random.default_rng(3)
    vectors, query = rng.normal(size=(2, 1_000, 128)).astype(np.float32)
    made = faiss.index_factory(128, factory, faiss.METRIC_INNER_PRODUCT)
    made.train(vectors)
    made.add(vectors)
    if factory != "Flat":
        made.make_direct_map(True)
    index = ItemIndex(made, 16)
    rows = rng.permutation(1_000)[:317]
    together, scanned = index.similarity(query[0], rows), index.scanned(query[0], rows)
    for n in (0, 100, 316):
        assert index.similarity(query[0], rows[n : n + 1]) == together[n]
        assert index.scanned(query[0], rows[n : n + 1]) == scanned[n]
    found, near = index.search(query[0], 1_000, np.full(125, 255, np.uint8), 1_000)
    np.testing.assert_array_equal(index.scanned(query[0], found), near)
    np.testing.assert_allclose(together, scanned, atol=1e-4)
