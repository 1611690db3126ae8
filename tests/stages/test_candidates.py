from dataclasses import replace

import faiss
import numpy as np
import pytest

from trident.contract import NO_ITEM, UNKNOWN_REGION, UNLISTED_REGION, degraded_bit
from trident.items import ItemColumns, blocked_words, write_items
from trident.rules import Rules
from trident.rules.never import age_limits
from trident.safety import Safety
from trident.search import ItemIndex
from trident.stages.candidates import GREETING, Candidates

N = 3000
RNG = np.random.default_rng(11)
EMBEDDINGS = RNG.normal(size=(N, 128)).astype(np.float32)
EMBEDDINGS /= np.linalg.norm(EMBEDDINGS, axis=1, keepdims=True)
IN_STOCK, FLAGGED = RNG.random(N) < 0.9, RNG.random(N) < 0.05
AGE_LIMIT, BLOCKED = RNG.choice([0, 12, 18], N), RNG.random((N, 70)) < 0.02
POPULAR = RNG.permutation(N)
REGIONAL = np.stack([RNG.permutation(N) for _ in range(70)])  # what is popular in each region
LISTS = np.concatenate([POPULAR[None], REGIONAL])


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
        popular=LISTS,
    )
    return ItemColumns.open(folder)


@pytest.fixture(scope="module", params=["Flat", "IVF32,Flat"])
def stage(request, items, tmp_path_factory) -> Candidates:
    index = faiss.index_factory(128, request.param, faiss.METRIC_INNER_PRODUCT)
    index.train(EMBEDDINGS)
    index.add(EMBEDDINGS)
    path = tmp_path_factory.mktemp("index") / "index.faiss"
    faiss.write_index(index, str(path))
    return Candidates(Safety(items), ItemIndex.open(path, 32, N), items.popular, np.array([], np.int64))


def blocked_in(region: int) -> np.ndarray:
    if region == UNKNOWN_REGION:
        return BLOCKED.any(axis=1)
    return BLOCKED[:, region] if region >= 0 else np.zeros(N, bool)


def may_see(region: int, age: int) -> np.ndarray:
    return IN_STOCK & ~FLAGGED & ~blocked_in(region) & (max(age, 0) >= AGE_LIMIT)


def test_bitmaps_that_are_made_beforehand_are_what_each_viewer_may_see(items):
    safety = Safety(items)
    safety.prepare(10_000)
    assert len(safety._kept) == (len(LISTS) + 1) * 3  # 70 regions, two kinds of other ones, three age brackets
    for (region, bracket), kept in list(safety._kept.items())[::7]:
        age = (0, 12, 18)[bracket - 1]
        allowed = may_see(region, age)
        np.testing.assert_array_equal(kept.bitmap, np.packbits(allowed, bitorder="little"))
        here = IN_STOCK & ~blocked_in(region)
        assert (kept.in_stock, kept.region_allowed, kept.safe) == (IN_STOCK.sum(), here.sum(), allowed.sum())


def ask(
    stage: Candidates, embedding: np.ndarray, shown: list[int], region: int, age: int, reason: str = ""
) -> dict[str, np.ndarray]:
    return stage(
        embedding[None],
        np.array([shown or [NO_ITEM]]),
        np.array([[region]], np.int32),
        np.array([[age]], np.int32),
        np.array([[degraded_bit(reason) if reason else 0]], np.int32),
        np.array([[1]]),
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
    answer = ask(stage, np.full(128, np.nan, np.float32), [int(LISTS[3, 0])], 2, 18)
    expected = [r for r in LISTS[3].tolist() if may_see(2, 18)[r] and r != LISTS[3, 0]][:500]
    assert answer["candidate_rows"][0].tolist() == expected
    assert answer["search_flags"].tolist() == [[degraded_bit("popular_fallback")]]


def test_users_of_one_request_get_what_they_get_alone(stage):
    alone = [ask(stage, EMBEDDINGS[i], [i], i, 10 * i)["candidate_rows"][0] for i in range(4)]
    ids = np.arange(4, dtype=np.int32)[:, None]
    together = stage(EMBEDDINGS[:4], ids.astype(np.int64), ids, ids * 10, ids * 0, ids * 0 + 1)
    assert np.array_equal(together["candidate_rows"], np.stack(alone))


def test_pinned_items_are_candidates_where_they_may_be_shown(stage):
    query, nearest = EMBEDDINGS[7], ask(stage, EMBEDDINGS[7], [], 2, 99)["candidate_rows"][0]
    allowed = may_see(2, 99)
    far = [r for r in np.argsort(EMBEDDINGS @ query).tolist() if allowed[r]][:3]
    forbidden, shown, last = int(np.flatnonzero(~allowed)[0]), far.pop(), int(nearest[-1])
    pinning = replace(stage, pinned=np.array([*far, forbidden, shown, last]))
    answer = ask(pinning, query, [shown], 2, 99)
    rows = answer["candidate_rows"][0]
    assert set(rows.tolist()) == {*nearest[:497].tolist(), last, *far}
    assert answer["similarity"][0] == pytest.approx(np.sort(EMBEDDINGS[rows] @ query)[::-1], abs=1e-5)
    popular = ask(pinning, np.full(128, np.nan, np.float32), [], 2, 99)["candidate_rows"][0]
    assert popular[:4].tolist() == [*far, shown, last]


def test_where_too_few_popular_items_are_allowed_others_fill_up(stage):
    few = replace(stage, popular=np.tile(np.array([*POPULAR[:10], NO_ITEM], np.int32), (71, 1)))
    rows = ask(few, np.full(128, np.nan, np.float32), [], 2, 99)["candidate_rows"][0]
    allowed = may_see(2, 99)
    assert (rows >= 0).all()
    assert allowed[rows].all()
    assert len(set(rows.tolist())) == 500
    assert rows[: allowed[POPULAR[:10]].sum()].tolist() == [r for r in POPULAR[:10].tolist() if allowed[r]]


@pytest.mark.parametrize("reason", ["cold_start", "user_state_unavailable"])
def test_a_stranger_gets_what_is_near_and_what_is_popular_in_his_region(stage, reason):
    query, shown = EMBEDDINGS[7], int(LISTS[3, 0])
    known = ask(stage, query, [shown], 2, 99)
    answer = ask(stage, query, [shown], 2, 99, reason)
    rows, allowed = answer["candidate_rows"][0], may_see(2, 99)
    popular = [r for r in LISTS[3].tolist() if allowed[r] and r != shown][:GREETING]
    near = [r for r in known["candidate_rows"][0].tolist() if r not in popular]
    assert set(rows.tolist()) == {*popular, *near[: 500 - GREETING]}
    assert answer["similarity"][0] == pytest.approx(np.sort(EMBEDDINGS[rows] @ query)[::-1], abs=1e-5)
    assert answer["search_funnel"].tolist() == known["search_funnel"].tolist()
    assert answer["search_flags"].tolist() == [[0]]


@pytest.mark.parametrize("region", [UNKNOWN_REGION, UNLISTED_REGION])
def test_a_stranger_from_an_unknown_region_gets_what_is_popular_with_everybody(stage, region):
    rows = ask(stage, EMBEDDINGS[7], [], region, 99, "cold_start")["candidate_rows"][0]
    popular = [r for r in POPULAR.tolist() if may_see(region, 99)[r]][:GREETING]
    assert set(popular) <= set(rows.tolist())


def test_a_stranger_who_may_see_few_items_gets_them_all_once(stage):
    allowed = np.flatnonzero(may_see(0, 99))
    left = allowed[::20]
    answer = ask(stage, EMBEDDINGS[1], np.setdiff1d(allowed, left).tolist(), 0, 99, "cold_start")
    rows = answer["candidate_rows"][0]
    assert sorted(rows[rows >= 0].tolist()) == left.tolist()


def test_pinned_and_popular_items_never_crowd_each_other_out(stage):
    pinned = np.flatnonzero(may_see(2, 99))[-3:]
    rows = ask(replace(stage, pinned=pinned), EMBEDDINGS[7], [], 2, 99, "cold_start")["candidate_rows"][0]
    popular = [r for r in LISTS[3].tolist() if may_see(2, 99)[r]][:GREETING]
    assert len(set(rows.tolist())) == 500
    assert {*pinned.tolist(), *popular} <= set(rows.tolist())


def test_what_the_rules_never_show_is_no_candidate(stage, items):
    never = np.flatnonzero(may_see(2, 99))[:5]
    rules = Rules(never_items=tuple(f"item-{r}" for r in never))
    strict = replace(stage, safety=Safety(items, age_limits(rules, items)))
    answer = ask(strict, EMBEDDINGS[never[0]], [], 2, 150)
    assert not np.isin(never, answer["candidate_rows"]).any()
    assert answer["search_funnel"][0, 3] == may_see(2, 150).sum() - 5
    assert not strict.safety.passes(never, 2, 150).any()
