"""The four recommenders against a real Triton: each fact holds for all of them."""

from __future__ import annotations

import math
import time

import pytest

from trident.contract import FUNNEL
from trident.errors import InvalidInput, TridentError, Unavailable
from trident_client import DeadlineExceeded, InvalidRequest, RecommendedItem, RecommenderError, ServerError, Unreachable

SLOW_MACHINE_S = 0.3
"""What a busy machine may add to a deadline."""


@pytest.fixture
def client(connect, server, kind):
    return connect(server.url(kind), deadline=5.0)


def test_a_user_id_alone_gets_twenty_items_best_first(client):
    answer = client.recommend("u42")
    assert answer.user_id == "u42"
    assert answer.item_ids == tuple(f"u42|{i}" for i in range(20))
    assert answer.items[0] == RecommendedItem("u42|0", 0.5)
    assert answer.items[2].score == pytest.approx(0.25)
    assert (answer.release, answer.degraded) == (7, ())
    assert tuple(answer.funnel) == FUNNEL
    assert list(answer.funnel.values()) == list(range(len(FUNNEL), 0, -1))


def test_every_option_reaches_the_server(client):
    answer = client.recommend("u", device="tv", region="DE", timestamp=1_700_000_000, limit=2, record=False)
    assert answer.item_ids == ("u|0|tv|DE|1700000000|2|False", "u|1|tv|DE|1700000000|2|False")


def test_many_users_in_one_request_get_what_they_get_alone(client):
    users = [f"u{i}" for i in range(8)]
    assert client.recommend_many(users, limit=5) == [client.recommend(u, limit=5) for u in users]


def test_an_option_may_be_given_per_user_and_pads_are_removed(client):
    first, second = client.recommend_many(["a", "b"], limit=[1, 3], device=["tv", ""])
    assert first.item_ids == ("a|0|tv|1",)
    assert second.item_ids == ("b|0||3", "b|1||3", "b|2||3")


def test_fewer_items_than_asked_come_without_pads(client):
    assert client.recommend("short").item_ids == ("short|0", "short|1", "short|2")


@pytest.mark.parametrize("user", ["ü-ñ-日本-🐟", "a b", "x" * 128, "é" * 64, "'\"\\{}"])
def test_any_legal_id_survives_the_way_there_and_back(client, user):
    assert client.recommend(user, limit=1).item_ids == (f"{user}|0|1",)


def test_reasons_for_a_degraded_answer_are_listed(client):
    assert client.recommend("cold").degraded == ("cold_start", "popular_fallback")


def test_a_refusal_by_the_server_keeps_its_text(client):
    with pytest.raises(InvalidRequest, match="recommend: input 'user_id': expected a better one, got 'refused'"):
        client.recommend("refused")


def test_a_failure_in_the_server_keeps_its_text_and_the_next_call_works(client):
    with pytest.raises(ServerError, match="ranker: the forest does not answer"):
        client.recommend("broken")
    assert client.recommend("u", limit=1).item_ids == ("u|0|1",)


def test_an_exception_in_the_server_comes_without_its_traceback(client):
    with pytest.raises(ServerError, match="a bug") as caught:
        client.recommend("boom")
    assert "model.py" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_takes_no_more_work_is_unreachable(client):
    with pytest.raises(Unreachable, match="Exceeds maximum queue size"):
        client.recommend("busy")


def test_the_deadline_is_kept_and_the_next_call_works(client):
    start = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.\d+ s"):
        client.recommend("slow", deadline=0.2)
    assert time.monotonic() - start < 0.2 + SLOW_MACHINE_S
    assert client.recommend("u", limit=1).item_ids == ("u|0|1",)


def test_the_deadline_covers_a_server_that_accepts_and_stays_silent(connect, silent):
    recommender = connect(silent, deadline=0.2)
    start = time.monotonic()
    with pytest.raises((DeadlineExceeded, Unreachable)):
        recommender.recommend("u")
    assert not recommender.ready()
    assert time.monotonic() - start < 0.4 + 2 * SLOW_MACHINE_S


def test_a_port_where_nobody_listens_is_unreachable_at_once(connect, free_port):
    start = time.monotonic()
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
        connect(f"127.0.0.1:{free_port()}", deadline=5.0).recommend("u")
    assert time.monotonic() - start < 1.0


def test_ready_tells_a_served_model_from_an_unreachable_one(client, connect, free_port):
    assert client.ready()
    assert not connect(f"127.0.0.1:{free_port()}").ready()


def test_a_second_replica_answers_when_the_first_is_gone(connect, server, kind, free_port):
    recommender = connect(f"127.0.0.1:{free_port()},{server.url(kind)}", deadline=5.0)
    assert [recommender.recommend("u", limit=1).item_ids for _ in range(4)] == [("u|0|1",)] * 4


def test_a_silent_replica_leaves_time_for_the_next_and_then_comes_last(connect, server, kind, silent):
    recommender = connect([silent, server.url(kind)], deadline=2.0)
    assert recommender.recommend("u", limit=1).release == 7
    start = time.monotonic()
    assert all(recommender.recommend("u", limit=1).release == 7 for _ in range(5))
    assert time.monotonic() - start < 1.0


def test_a_bad_request_is_not_sent_to_another_replica(connect, server, kind):
    recommender = connect([server.url(kind), server.url(kind)])
    with pytest.raises(InvalidRequest, match="a better one"):
        recommender.recommend("refused")


def test_the_fallback_list_answers_when_no_server_does(connect, free_port):
    recommender = connect(f"127.0.0.1:{free_port()}", fallback=["a", "b", "c"])
    first, second = recommender.recommend_many(["u", "v"], limit=[2, 50])
    assert (first.item_ids, second.item_ids) == (("a", "b"), ("a", "b", "c"))
    assert (first.user_id, first.release, first.funnel, first.degraded) == ("u", 0, {}, ("client_fallback",))
    assert math.isnan(first.items[0].score)


@pytest.mark.parametrize("user", ["slow", "broken", "busy"])
def test_the_fallback_list_answers_for_a_late_broken_or_busy_server(connect, server, kind, user):
    recommender = connect(server.url(kind), fallback=["a"], deadline=0.3)
    assert recommender.recommend(user).item_ids == ("a",)


def test_the_fallback_list_does_not_hide_a_bad_request(connect, server, kind):
    recommender = connect(server.url(kind), fallback=["a"])
    with pytest.raises(InvalidRequest):
        recommender.recommend("")
    with pytest.raises(InvalidRequest):
        recommender.recommend("refused")


def test_closing_is_final_and_may_be_repeated(connect, server, kind):
    recommender = connect(server.url(kind))
    recommender.recommend("u")
    recommender.close()
    recommender.close()
    with pytest.raises(RecommenderError, match="closed"):
        recommender.recommend("u")


def test_the_errors_are_trident_errors():
    assert issubclass(RecommenderError, TridentError)
    assert issubclass(InvalidRequest, InvalidInput)
    assert issubclass(DeadlineExceeded, Unavailable)
    assert issubclass(Unreachable, Unavailable)
