"""The search on cards, with indexes on the CPU in the place of those on a card: they have the same methods."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest

from trident.contract import EMBEDDING_DIM
from trident.gpu_search import NEAREST, CardIndex, Choice, choose, nearest
from trident.search import ItemIndex

ITEMS, K = 6_000, 500


def unit(rng: np.random.Generator, n: int) -> np.ndarray:
    made = rng.normal(size=(n, EMBEDDING_DIM)) + 2 * rng.normal(size=(8, EMBEDDING_DIM))[rng.integers(0, 8, n)]
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(1), ITEMS)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return unit(np.random.default_rng(2), 12)


@pytest.fixture(scope="module")
def cpu(vectors: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> ItemIndex:
    """An index as a release has it: inverted lists, 8 bits per number."""
    index = faiss.index_factory(EMBEDDING_DIM, "IVF32,SQ8", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    faiss.write_index(index, str(path))
    return ItemIndex.open(Path(path), 8, ITEMS)


def flat() -> faiss.Index:
    return faiss.index_factory(EMBEDDING_DIM, "SQfp16", faiss.METRIC_INNER_PRODUCT)


def listed() -> faiss.Index:
    return faiss.index_factory(EMBEDDING_DIM, "IVF32,SQfp16", faiss.METRIC_INNER_PRODUCT)


@pytest.fixture(scope="module")
def card(cpu: ItemIndex) -> CardIndex:
    return CardIndex.of(cpu, choose([flat()], cpu.index))


def bitmap(allowed: np.ndarray) -> np.ndarray:
    return np.packbits(allowed, bitorder="little")


def truth(cpu: ItemIndex, query: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Rows of the allowed items by similarity to the vectors that the index holds."""
    near = cpu.index.reconstruct_batch(np.arange(ITEMS)) @ query
    near[~allowed] = -np.inf
    return np.argsort(-near, kind="stable")


@pytest.mark.parametrize("share", [1.0, 0.6])
def test_a_card_that_compares_everything_finds_the_nearest_allowed(card, cpu, queries, share):
    rng = np.random.default_rng(3)
    allowed = [rng.random(ITEMS) < share for _ in queries]  # each user has a filter of his own
    searches = card.prepared(queries)
    for query, search, mine in zip(queries, searches, allowed, strict=True):
        rows, similarity = search(K, bitmap(mine), int(mine.sum()))
        assert mine[rows].all()
        assert len(set(rows.tolist())) == K
        assert np.isin(rows, truth(cpu, query, mine)[:K]).mean() > 0.99  # half precision swaps some at the edge
        assert (np.diff(similarity) <= 0).all()
        np.testing.assert_allclose(similarity, cpu.similarity(query, rows), atol=2e-3)


def test_where_too_few_of_the_nearest_are_allowed_the_cpu_answers(card, cpu, queries):
    allowed = np.random.default_rng(4).random(ITEMS) < 0.15  # 300 of the nearest 2,048
    for query, search in zip(queries, card.prepared(queries), strict=True):
        rows, similarity = search(K, bitmap(allowed), int(allowed.sum()))
        expected = cpu.search(query, K, bitmap(allowed), int(allowed.sum()))
        assert np.array_equal(rows, expected[0])
        assert np.array_equal(similarity, expected[1])


def test_fewer_allowed_items_than_wanted_are_all_found_and_padded(card, queries):
    allowed = np.zeros(ITEMS, bool)
    allowed[[5, 77, 5_999]] = True
    (search,) = card.prepared(queries[:1])
    rows, similarity = search(K, bitmap(allowed), 3)
    assert set(rows[:3].tolist()) == {5, 77, 5_999}
    assert (rows[3:] == -1).all()
    assert np.isnan(similarity[3:]).all()


def test_a_catalogue_smaller_than_what_a_card_names_is_searched_whole(queries):
    few = unit(np.random.default_rng(5), 300)
    index = faiss.IndexFlatIP(EMBEDDING_DIM)
    index.add(few)
    small = ItemIndex(index, 1)
    card = CardIndex.of(small, choose([flat()], index))
    allowed = np.ones(300, bool)
    (search,) = card.prepared(queries[:1])
    assert sorted(search(K, bitmap(allowed), 300)[0][:300].tolist()) == list(range(300))


def test_the_faster_index_that_reaches_the_recall_is_taken(cpu, monkeypatch):
    monkeypatch.setattr("trident.gpu_search._ms", lambda index, queries, k, nprobe: 1.0 if nprobe else 2.0)
    chosen = choose([flat(), listed()], cpu.index)
    assert chosen.nprobe > 1
    assert chosen.recall >= 0.95
    monkeypatch.setattr("trident.gpu_search._ms", lambda index, queries, k, nprobe: 3.0 if nprobe else 2.0)
    chosen = choose([flat(), listed()], cpu.index)
    assert (chosen.nprobe, chosen.recall) == (0, 1.0)


def test_lists_that_cannot_reach_the_recall_are_not_taken(cpu, monkeypatch):
    monkeypatch.setattr("trident.gpu_search._ms", lambda index, queries, k, nprobe: 1.0 if nprobe else 2.0)
    monkeypatch.setattr("trident.gpu_search.NEAREST", 4)  # lists at most
    assert choose([flat(), listed()], cpu.index, target=1.0).nprobe == 0


def test_without_a_card_the_prepared_searches_are_those_of_the_index(cpu, queries):
    allowed = bitmap(np.ones(ITEMS, bool))
    for query, search in zip(queries, cpu.prepared(queries), strict=True):
        assert np.array_equal(search(K, allowed, ITEMS)[0], cpu.search(query, K, allowed, ITEMS)[0])


def test_the_nearest_come_in_order(cpu, queries):
    index = flat()
    choice = choose([index], cpu.index)
    rows, near = choice.nearest(queries, NEAREST)
    assert rows.shape == near.shape == (len(queries), NEAREST)
    assert (np.diff(near, axis=1) <= 0).all()
    assert np.array_equal(rows, nearest(index, queries, NEAREST, 0)[0])
    assert isinstance(choice, Choice)
