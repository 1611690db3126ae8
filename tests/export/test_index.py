from __future__ import annotations

import faiss
import numpy as np
import pytest

from trident.errors import InvalidInput, ReleaseError
from trident.search import ItemIndex, groups_read
from trident_export import index_truth
from trident_export.index import build_index, search, write_index
from trident_export.index_kinds import Kind, kinds_for
from trident_export.index_truth import Truth


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
    monkeypatch.setattr(index_truth, "BATCH", 700)
    index, settings = build_index(Counting(embeddings), queries, exact_below=1_000)
    assert (settings.nprobe, settings.recall) == (expected.nprobe, expected.recall)
    np.testing.assert_array_equal(search(index, queries, 50, nprobe=310)[0], search(whole, queries, 50, nprobe=310)[0])


def test_every_embedding_is_asked_for_once(monkeypatch):
    monkeypatch.setattr(index_truth, "BATCH", 256)
    counting = Counting(unit(1_000, 1))
    build_index(counting, unit(1, 2))
    assert counting.asked[0] == 2  # its shape is checked first
    assert (counting.asked[1:] == 1).all()


def test_the_truth_is_the_same_in_parts_and_under_filters(monkeypatch):
    embeddings, queries = unit(900, 1), unit(5, 2)
    whole = Truth.of(embeddings, queries, 50)
    monkeypatch.setattr(index_truth, "BATCH", 304)
    parts = Truth.of(embeddings, queries, 50)
    for one, other in zip(whole.filters, parts.filters, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)
        allowed = np.unpackbits(one.bitmap, count=900, bitorder="little").astype(bool)
        assert allowed.sum() == one.count
        nearest = np.argsort(-np.where(allowed, queries @ embeddings.T, -9), axis=1)[:, :50]
        np.testing.assert_array_equal(one.rows, nearest)
    assert [allowed.share for allowed in whole.filters] == [1.0, 0.9, 0.3]


def test_one_item_is_a_catalogue():
    index, settings = build_index(unit(1, 1))
    assert (settings.k, settings.recall) == (1, 1.0)
    assert search(index, unit(1, 1), 3)[0].tolist() == [[0, -1, -1]]


def test_recall_counts_ties_and_no_duplicates():
    embeddings = np.ones((4, 128), np.float32)
    truth = Truth.of(embeddings, embeddings[:1], 2, shares=[1.0])
    assert truth.found(0, 0, np.array([3, 2]), embeddings) == 2
    assert truth.found(0, 0, np.array([3, 3]), embeddings) == 1
    assert truth.found(0, 0, np.array([3, -1]), embeddings) == 1


def test_the_recall_holds_under_filters(large):
    embeddings, queries, index, settings = large
    assert [given["share"] for given in settings.filtered] == [0.9, 0.3]
    served, rng = ItemIndex(index, settings.nprobe, settings.widening), np.random.default_rng(8)
    for share in (0.9, 0.3):
        allowed, found = rng.random(len(embeddings)) < share, []
        for query in queries:
            best = np.argsort(-np.where(allowed, embeddings @ query, -9))[:500]
            mine = served.search(query, 500, np.packbits(allowed, bitorder="little"), int(allowed.sum()))[0]
            found.append(np.isin(best, mine).mean())
        assert np.mean(found) > 0.94  # the filter is another one than that of the sweep


def test_the_fastest_of_several_kinds_is_taken_and_all_points_are_kept():
    embeddings, queries = unit(6_000, 1), unit(60, 2)
    names = ("IVF64,Flat", "IVF64,SQ8", "IVF64,PQ32x4fs,Refine(SQ8)", "IVF64,RaBitQ,Refine(SQ8)")
    told: list[str] = []
    index, settings = build_index(embeddings, queries, kinds=names, say=told.append)
    assert {point["factory"] for point in settings.frontier} == set(names)
    assert {point["k_factor"] for point in settings.frontier if "Refine" in point["factory"]} == {2, 4, 8, 16}
    assert settings.factory in names
    assert min(settings.recall, *(given["recall"] for given in settings.filtered)) >= 0.95
    assert sum("64 lists" in line for line in told) == 1  # shared by all kinds
    assert index.ntotal == 6_000


@pytest.mark.parametrize(
    "factory",
    [
        "IVF64,Flat",
        "IVF64,SQ8",
        "IVF64(IVF8,Flat),SQ8",
        "IVF64,SQ4,Refine(SQ8)",
        "IVF64,PQ32x4fs,Refine(SQ8)",
        "IVF64(IVF8,Flat),PQ32x4fs,Refine(SQ8)",
        "IVF64,RaBitQ",
        "IVF64(IVF8,Flat),RaBitQ",
    ],
)
def test_every_kind_is_served_from_its_file_with_all_allowed_items(factory, tmp_path):
    embeddings, queries = unit(4_000, 1), unit(8, 2)
    index, settings = build_index(embeddings, queries, kinds=[factory])
    write_index(index, tmp_path / "index.faiss")
    served = ItemIndex.open(tmp_path / "index.faiss", settings.nprobe, len(embeddings), settings.widening)
    assert getattr(served.index, "k_factor", 1) == settings.k_factor
    rng = np.random.default_rng(4)
    for share in (1.0, 0.3, 0.1, 0.005):
        allowed = rng.random(len(embeddings)) < share
        bitmap, count = np.packbits(allowed, bitorder="little"), int(allowed.sum())
        for query in queries:
            rows, similarity = served.search(query, 500, bitmap, count)
            wanted = min(500, count)
            assert len(np.unique(rows[:wanted])) == wanted
            assert allowed[rows[:wanted]].all()
            assert (rows[wanted:] == -1).all()
            assert (np.diff(similarity[:wanted]) <= 0).all()
            if "Refine" in factory or "SQ8" in factory:
                np.testing.assert_allclose(similarity[:wanted], served.similarity(query, rows[:wanted]), atol=1e-5)


def test_groups_of_lists_lead_to_the_lists_that_comparing_with_all_finds():
    """Vectors without any clusters, which is the hardest case: near lists are in many groups."""
    vectors = np.random.default_rng(6).normal(size=(20_000, 128)).astype(np.float32)
    embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    made = {}
    for factory in ("IVF512,SQ8", "IVF512(IVF23,Flat),SQ8"):
        _, settings = build_index(embeddings, kinds=[factory])
        assert min(settings.recall, *(given["recall"] for given in settings.filtered)) >= 0.95
        made[factory] = settings.nprobe
    assert made["IVF512(IVF23,Flat),SQ8"] <= 1.1 * made["IVF512,SQ8"]


@pytest.mark.parametrize(
    ("items", "factory"), [(19_999, "Flat"), (100_000, "IVF1265,SQ8"), (10**6, "IVF4000(IVF63,Flat),SQ8")]
)
def test_many_lists_are_found_by_groups_of_them(items, factory):
    assert kinds_for(items)[0].factory == factory


def test_kinds_that_find_lists_in_the_same_way_share_them():
    names = ("IVF64,SQ8", "IVF64(IVF8,Flat),SQ8", "IVF64(IVF8,Flat),SQ4,Refine(SQ8)", "IVF64_HNSW32,Flat", "Flat")
    coarse = ["IVF64", "IVF64(IVF8,Flat)", "IVF64(IVF8,Flat)", "IVF64_HNSW32", ""]
    assert [Kind.of(name).coarse for name in names] == coarse


def test_more_lists_are_looked_for_in_more_groups():
    index, _ = build_index(unit(6_000, 1), kinds=["IVF320(IVF20,Flat),SQ8"])
    quantizer = faiss.downcast_index(index.quantizer)
    read = [groups_read(quantizer, nprobe, index.nlist) for nprobe in (1, 16, 17, 320)]
    assert read == [16, 16, 17, 20]  # 16 lists for each list, 16 lists in a group


def test_an_unknown_kind_is_refused():
    with pytest.raises(InvalidInput, match=r"expected Flat, IVF.*got 'HNSW32'"):
        build_index(unit(10, 1), kinds=["HNSW32"])


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
