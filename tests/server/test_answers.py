"""What the real server answers, beside the same release in this process."""

from __future__ import annotations

import itertools
import json
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient

from trident import model_config
from trident.contract import FUNNEL, MODELS
from trident.items import ItemColumns
from trident.rules import DAY
from trident.serving.control_key import grpc_headers
from trident.state.connection import connect
from trident.users import UserRows


def column(values: list, dtype: type) -> np.ndarray:
    return np.array([[v] for v in values], dtype)


def oracle_answer(served, users: list[str], **inputs: np.ndarray) -> dict[str, np.ndarray]:
    ids = column([u.encode() for u in users], np.object_)
    return served.oracle(user_id=ids, record=column([False] * len(users), np.bool_), **inputs)


@pytest.fixture(scope="session")
def items(served) -> ItemColumns:
    return ItemColumns.open(served.release / "items")


@pytest.fixture(scope="session")
def users(served) -> list[str]:
    rows = UserRows.open(served.release / "users")
    return [i.decode() for i in rows.ids.take(np.arange(len(rows)))]


def test_the_smallest_request_over_http_is_answered_with_20_items(served, users):
    body = {"inputs": [{"name": "user_id", "shape": [1, 1], "datatype": "BYTES", "data": [users[0]]}]}
    url = f"http://{served.server.http}/v2/models/recommend/infer"
    with urllib.request.urlopen(url, json.dumps(body).encode()) as response:
        assert response.status == 200
        outputs = {o["name"]: o for o in json.load(response)["outputs"]}
    assert outputs["item_id"]["shape"] == [1, 20]
    assert len(set(outputs["item_id"]["data"])) == 20
    assert outputs["degraded"]["data"] == [""]


def test_served_answers_equal_those_of_the_pipeline_in_this_process(served, recommender, users, items):
    now = int(time.time())
    options = {"timestamp": now, "limit": 25, "device": "mobile"}
    given = {
        "timestamp": column([now], np.int64),
        "limit": column([25], np.int32),
        "device": column([b"mobile"], np.object_),
    }
    redis = connect(served.server.redis_url, 1.0)
    for user in (*users[:40], "a user nobody knows"):
        expected = oracle_answer(served, [user], **given)
        redis.delete(*(redis.keys("user_emb:*") or ["none"]))  # the server is to compute its own
        answer = recommender.recommend(user, record=False, **options)
        assert [i.encode() for i in answer.item_ids] == [i for i in expected["item_id"][0] if i]
        assert [i.score for i in answer.items] == pytest.approx(expected["score"][0][: len(answer.items)], abs=1e-6)
        assert list(answer.funnel.values()) == expected["funnel"][0].tolist()
        assert ",".join(answer.degraded).encode() == expected["degraded"][0, 0]


def test_eight_users_in_one_request_get_what_they_get_alone(recommender, users):
    together = recommender.recommend_many(users[:8], record=False, timestamp=1_900_000_000)
    alone = [recommender.recommend(user, record=False, timestamp=1_900_000_000) for user in users[:8]]
    assert [a.items for a in together] == [a.items for a in alone]
    assert [a.funnel for a in together] == [a.funnel for a in alone]


def test_limits_of_one_request_may_differ(grpc, users):
    answers = grpc.recommend_many(users[:3], record=False, limit=[1, 50, 20])
    assert [len(a.items) for a in answers] == [1, 50, 20]


def test_an_unknown_user_gets_20_items_and_is_told_why_they_are_general(recommender):
    answer = recommender.recommend("nobody-has-seen-me")
    assert len(set(answer.item_ids)) == 20
    assert answer.degraded == ("cold_start",)


def test_the_funnel_names_every_step_and_never_grows(recommender, users):
    answer = recommender.recommend(users[3], record=False)
    assert tuple(answer.funnel) == FUNNEL
    counts = list(answer.funnel.values())
    assert counts[-1] == 20
    assert all(a >= b for a, b in itertools.pairwise(counts))


def test_the_release_is_the_published_one(recommender, users):
    assert recommender.recommend(users[0], record=False).release == 1


def test_no_category_has_more_than_3_items(grpc, users, items):
    for user in users[:60]:
        rows = items.rows(grpc.recommend(user, record=False).item_ids)
        assert np.bincount(items.category[rows] + 1).max() <= 3


def test_what_was_shown_is_not_shown_again_within_7_days(grpc):
    user, start = "somebody-who-comes-again", 1_900_000_000
    first = grpc.recommend(user, timestamp=start)
    soon = grpc.recommend(user, timestamp=start + 6 * DAY)
    assert not set(first.item_ids) & set(soon.item_ids)
    unseen = grpc.recommend(user, timestamp=start + 6 * DAY, record=False)
    assert grpc.recommend(user, timestamp=start + 6 * DAY, record=False).item_ids == unseen.item_ids
    much_later = grpc.recommend(user, timestamp=start + 20 * DAY, record=False)
    assert len(set(much_later.item_ids) & set(first.item_ids)) > 10


def test_an_item_that_the_viewer_must_not_see_never_appears(served, grpc, users, items):
    rows = UserRows.open(served.release / "users")
    age = dict(zip(users, rows.age.tolist(), strict=True))
    regions = served.oracle.release.vocabulary.regions
    for number, user in enumerate(users[:60]):
        region = regions[number % len(regions)]
        shown = items.rows(grpc.recommend(user, region=region, limit=50, record=False).item_ids)
        assert not items.flagged[shown].any()
        assert items.in_stock[shown].all()
        assert (items.age_limit[shown] <= max(age[user], 0)).all()
        code = regions.index(region)
        assert not (items.blocked[shown, code // 64] >> np.uint64(code % 64) & np.uint64(1)).any()


def test_users_of_opposite_tastes_get_visibly_different_lists(served, grpc, users, items):
    """The users with the clearest tastes, each beside the one whose categories are the least alike."""
    shares = category_shares(served, users, items)
    lists = {user: set(grpc.recommend(user, record=False).item_ids) for user in users}
    pairs = [(i, int(np.argmin(shares @ shares[i]))) for i in np.argsort(-shares.max(axis=1))[:20]]
    assert all(shares[i] @ shares[j] < 0.01 for i, j in pairs)
    common = [len(lists[users[i]] & lists[users[j]]) for i, j in pairs]
    assert np.mean(common) <= 10
    assert max(common) < 20


def category_shares(served, users: list[str], items: ItemColumns) -> np.ndarray:
    history = UserRows.open(served.release / "users").history
    counts = np.zeros((len(users), len(items.categories)))
    for user, row in enumerate(history):
        np.add.at(counts[user], items.category[row[row >= 0]], 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def test_the_server_serves_each_model_with_the_config_of_the_contract(served):
    with InferenceServerClient(served.server.grpc) as client:
        for contract in MODELS:
            found = client.get_model_config(contract.name, headers=grpc_headers(served.server.key)).config
            expected = model_config.config(contract, 1)
            assert found.backend == expected.backend
            assert found.max_batch_size == expected.max_batch_size
            assert list(found.input) == list(expected.input)
            assert list(found.output) == list(expected.output)
            assert found.version_policy == expected.version_policy
            assert found.ensemble_scheduling == expected.ensemble_scheduling
            assert dict(found.parameters) == dict(expected.parameters)


def test_requests_of_many_users_that_arrive_together_are_each_answered_for_their_own_users(recommender, users):
    groups = [[*users[7 * group :], *users][:40] for group in range(4)]  # two do not fit in one batch
    now = int(time.time())

    def ask(group: list[str]) -> list:
        return [answer.items for answer in recommender.recommend_many(group, timestamp=now, record=False, deadline=20)]

    alone = [ask(group) for group in groups]
    for _ in range(3):
        with ThreadPoolExecutor(len(groups)) as callers:
            assert list(callers.map(ask, groups)) == alone
