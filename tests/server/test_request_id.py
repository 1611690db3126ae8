"""Triton's request id reaches the steps of the ensemble."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import pytest

from trident.state.connection import connect


@pytest.fixture
def redis(served):
    with connect(served.server.redis_url, 1.0) as client:
        yield client


def traces(redis, user: str) -> list[bytes]:
    return sorted(redis.keys(f"recent_items:{user}") + redis.keys(f"answered:*:{user}"))


def test_the_same_id_gets_the_same_items_again_and_another_the_next(recommender, redis):
    user = f"u1{type(recommender).__name__}"
    first = recommender.recommend(user, request_id="r1")
    recorded = redis.zrange(f"recent_items:{user}", 0, -1, withscores=True)
    again = recommender.recommend(user, request_id="r1")
    assert again.items == first.items
    assert redis.zrange(f"recent_items:{user}", 0, -1, withscores=True) == recorded
    other = recommender.recommend(user, request_id="r2")
    assert not set(other.item_ids) & set(first.item_ids)


def test_by_default_every_call_has_an_id_of_its_own(recommender, redis):
    user = f"u2{type(recommender).__name__}"
    first, second = recommender.recommend(user), recommender.recommend(user)
    assert not set(first.item_ids) & set(second.item_ids)
    assert len(redis.keys(f"answered:*:{user}")) == 2


def test_each_user_of_a_request_has_an_answer_of_his_own(grpc, redis):
    users = ["u5", "u6", "u5"]
    first = grpc.recommend_many(users, request_id="many")
    assert [a.item_ids for a in grpc.recommend_many(users, request_id="many")] == [a.item_ids for a in first]
    assert first[0].item_ids == first[2].item_ids != first[1].item_ids


def test_what_is_not_to_be_recorded_leaves_no_trace(recommender, redis):
    user = f"u3{type(recommender).__name__}"
    recommender.recommend(user, record=False, request_id="r1")
    assert traces(redis, user) == []
    recommender.recommend_many([user, "u7"], record=[False, True])
    assert traces(redis, user) == []


def test_a_caller_without_an_id_is_answered_and_recorded(served, redis):
    body = {"inputs": [{"name": "user_id", "shape": [1, 1], "datatype": "BYTES", "data": ["u8"]}]}
    request = Request(f"http://{served.server.http}/v2/models/recommend/infer", json.dumps(body).encode())
    assert urlopen(request).status == 200
    assert traces(redis, "u8") == [b"recent_items:u8"]


@pytest.mark.parametrize("odd", ["a b:c{d}", "ü🙂", "x" * 128, "*"])
def test_ids_of_odd_characters_work(recommender, odd):
    user = f"u4 {{odd}}:* {len(odd)}"  # his own: what others are shown in between would not be shown to him again
    first = recommender.recommend(user, request_id=odd)
    assert len(first.items) == 20
    assert recommender.recommend(user, request_id=odd).item_ids == first.item_ids
