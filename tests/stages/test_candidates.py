import faiss
import numpy as np
import pytest

from trident.contract import NO_ITEM, UNKNOWN_REGION, UNLISTED_REGION, degraded_bit
from trident.items import ItemColumns, blocked_words, write_items
from trident.safety import Safety
from trident.search import ItemIndex
from trident.stages.candidates import Candidates, bits, without

N = 3000
RNG = np.random.default_rng(11)
EMBEDDINGS = RNG.normal(size=(N, 128)).astype(np.float32)
EMBEDDINGS /= np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)
IN_STOCK, FLAGGED = RNG.random(N) < 0.9, RNG.random(N) < 0.05
AGE_LIMIT, BLOCKED = RNG.choice([0, 12, 18], N), RNG.random((N, 70)) < 0.02
POPULAR = RNG.permutation(N)


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> ItemColumns:
    folder = tmp_path_factory.mktemp("items")
    write_items(
        folder,
        [f"item-{i}" for i in range(N)],
        [""] * N,
        ["a"],
        features=np.zeros((N, 40)),
        vectors=np.zeros((N, 128)),
        category=np.zeros(N),
        published_at=np.zeros(N),
        age_limit=AGE_LIMIT,
        in_stock=IN_STOCK,
        flagged=FLAGGED,
        blocked=blocked_words([np.flatnonzero(row).tolist() for row in BLOCKED], 70),
        popular=POPULAR,
    )
    return ItemColumns.open(folder)


@pytest.fixture(scope="module", params=["Flat", "IVF32,Flat"])
def stage(request, items, tmp_path_factory) -> Candidates:
    index = faiss.index_factory(128, request.param, faiss.METRIC_INNER_PRODUCT)
    index.train(EMBEDDINGS)
    index.add(EMBEDDINGS)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    faiss.write_index(index, str(path))
    return Candidates(Safety(items), ItemIndex.open(path, 32, N), POPULAR.astype(np.int64))


def blocked_in(region: int) -> np.ndarray:
    if region == UNKNOWN_REGION:
        return BLOCKED.any(axis=1)
    return BLOCKED[:, region] if region >= 0 else np.zeros(N, bool)


def may_see(region: int, age: int) -> np.ndarray:
    return IN_STOCK & ~FLAGGED & ~blocked_in(region) & (max(age, 0) >= AGE_LIMIT)


def ask(stage: Candidates, embedding: np.ndarray, shown: list[int], region: int, age: int) -> dict[str, np.ndarray]:
    return stage(
        embedding[None],
        np.array([shown or [NO_ITEM]]),
        np.array([[region]], np.int32),
        np.array([[age]], np.int32),
        np.array([[0]], np.int32),
    )


@pytest.mark.parametrize(("region", "age"), [(UNLISTED_REGION, -1), (0, 17), (65, 18), (3, 99)])
def test_the_search_finds_exactly_the_nearest_items_that_the_viewer_may_see(stage, region, age):
    query = EMBEDDINGS[7]
    shown = np.flatnonzero(may_see(region, age))[:40].tolist()
    allowed = may_see(region, age)
    allowed[shown] = False
    expected = np.argsort(-np.where(allowed, EMBEDDINGS @ query, -np.inf), kind="stable")[:500]
    answer = ask(stage, query, shown, region, age)
    assert set(answer["candidate_rows"][0].tolist()) == set(expected.tolist())
    assert answer["similarity"][0] == pytest.approx(EMBEDDINGS[answer["candidate_rows"][0]] @ query, abs=1e-5)
    here = IN_STOCK & ~blocked_in(region)
    funnel = [N, IN_STOCK.sum(), here.sum(), may_see(region, age).sum(), allowed.sum(), 500]
    assert answer["search_funnel"][0].tolist() == funnel
    assert answer["search_flags"].tolist() == [[0]]


def test_a_viewer_of_unknown_region_sees_only_what_is_blocked_nowhere(stage):
    allowed = may_see(UNKNOWN_REGION, 99)
    assert 0 < allowed.sum() < may_see(UNLISTED_REGION, 99).sum()
    answer = ask(stage, EMBEDDINGS[1], [], UNKNOWN_REGION, 99)
    rows = answer["candidate_rows"][0]
    assert set(rows[rows >= 0].tolist()) <= set(np.flatnonzero(allowed).tolist())
    assert answer["search_funnel"][0, 5] == min(500, allowed.sum())


def test_few_allowed_items_come_all_and_the_rest_is_padded(stage):
    allowed = np.flatnonzero(may_see(0, 99))
    left = allowed[::100]
    answer = ask(stage, EMBEDDINGS[1], sorted(set(allowed.tolist()) - set(left.tolist())), 0, 99)
    rows = answer["candidate_rows"][0]
    assert sorted(rows[rows >= 0].tolist()) == left.tolist()
    assert (rows[len(left) :] == NO_ITEM).all()
    assert np.isnan(answer["similarity"][0, len(left) :]).all()
    assert answer["search_funnel"][0, 4:].tolist() == [len(left), len(left)]


def test_nothing_allowed_is_all_pads(stage):
    answer = ask(stage, EMBEDDINGS[1], np.flatnonzero(may_see(0, 99)).tolist(), 0, 99)
    assert (answer["candidate_rows"] == NO_ITEM).all()
    assert answer["search_funnel"][0, 4:].tolist() == [0, 0]


def test_one_request_leaves_no_trace_in_the_next(stage):
    before = ask(stage, EMBEDDINGS[2], [], 1, 30)
    ask(stage, EMBEDDINGS[2], before["candidate_rows"][0, :50].tolist(), 1, 30)
    after = ask(stage, EMBEDDINGS[2], [], 1, 30)
    assert np.array_equal(before["candidate_rows"], after["candidate_rows"])


def test_without_an_embedding_the_popular_items_that_are_allowed_come_in_their_order(stage):
    answer = ask(stage, np.full(128, np.nan, np.float32), [int(POPULAR[0])], 2, 18)
    expected = [r for r in POPULAR.tolist() if may_see(2, 18)[r] and r != POPULAR[0]][:500]
    assert answer["candidate_rows"][0].tolist() == expected
    assert answer["search_flags"].tolist() == [[degraded_bit("popular_fallback")]]


def test_users_of_one_request_get_what_they_get_alone(stage):
    alone = [ask(stage, EMBEDDINGS[i], [i], i, 10 * i)["candidate_rows"][0] for i in range(4)]
    ids = np.arange(4, dtype=np.int32)[:, None]
    together = stage(EMBEDDINGS[:4], ids.astype(np.int64), ids, ids * 10, ids * 0)
    assert np.array_equal(together["candidate_rows"], np.stack(alone))


def test_lent_bits_are_given_back_even_after_an_error():
    bitmap = np.packbits(np.ones(20, bool), bitorder="little")
    kept = bitmap.copy()
    rows = np.array([3, 3, 19, -1])

    def fail() -> None:
        with without(bitmap, rows) as hidden:
            assert hidden == 2
            assert bits(bitmap, np.arange(20)).sum() == 18
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert np.array_equal(bitmap, kept)
