import time

import numpy as np
import pytest

from trident.errors import Unavailable
from trident.rules import DAY
from trident.state.connection import connect
from trident.state.layout import UserRow, pack_embedding, pack_row
from trident.state.store import UserStore

SPACE, SCHEMA = "00112233445566ff", "aabbccddeeff0011"
NOW, WEEK = 1_700_000_000, 7 * DAY


@pytest.fixture
def store(client):
    return UserStore(client, SPACE, SCHEMA)


def shown_to(store: UserStore, user: str, now: int) -> list[bytes]:
    return sorted(store.read([user], [now], WEEK)[0].shown)


def test_a_user_of_whom_nothing_is_known_has_an_empty_state(store):
    (state,) = store.read(["ü nobody"], [NOW], WEEK)
    assert state.row is None
    assert state.embedding is None
    assert not state.embedding_refused
    assert (state.history, state.shown) == ((), ())


def test_everything_that_is_known_comes_in_one_read(store, client):
    row = UserRow(np.arange(40, dtype=np.float32), NOW, "FR", 30)
    client.set(f"user_feat:{SCHEMA}:u1", pack_row(row, SCHEMA))
    client.zadd("user_history:u1", {"old": NOW - 9, "new": NOW - 1})
    embedding = np.linspace(0, 1, 128, dtype=np.float32)
    store.cache_embeddings(["u1"], [(b"new", b"old")], embedding[None])
    store.record_shown([("u1", NOW, [b"a", b"b"])], WEEK, 100)
    state, other = store.read(["u1", "u2"], [NOW, NOW], WEEK)
    assert np.array_equal(state.row.features, row.features)
    assert np.array_equal(state.embedding, embedding)
    assert state.history == (b"new", b"old")
    assert sorted(state.shown) == [b"a", b"b"]
    assert other.row is None
    assert 0 < client.ttl(f"user_emb:{SPACE}:u1") <= 3600
    assert 0 < client.ttl("recent_items:u1") <= WEEK


def test_an_embedding_holds_only_for_the_history_that_it_was_computed_from(store, client):
    client.zadd("user_history:u1", {"a": NOW - 9, "b": NOW - 1})
    for history, holds in {(b"b", b"a"): True, (b"a", b"b"): False, (b"b",): False, (): False}.items():
        store.cache_embeddings(["u1"], [history], np.ones((1, 128), np.float32))
        (state,) = store.read(["u1"], [NOW], WEEK)
        assert (state.embedding is not None) == holds
        assert not state.embedding_refused


@pytest.mark.parametrize("value", [b"", b"junk", pack_embedding(np.zeros(128), "ff" * 8, 0)])
def test_an_embedding_that_is_damaged_or_foreign_is_refused_and_told(store, client, value):
    client.set(f"user_emb:{SPACE}:u1", value)
    (state,) = store.read(["u1"], [NOW], WEEK)
    assert state.embedding is None
    assert state.embedding_refused


def test_each_shown_item_expires_by_its_own_time(store):
    store.record_shown([("u1", NOW, [b"early"])], WEEK, 100)
    store.record_shown([("u1", NOW + 3 * DAY, [b"late"])], WEEK, 100)
    assert shown_to(store, "u1", NOW + 7 * DAY - 1) == [b"early", b"late"]
    assert shown_to(store, "u1", NOW + 7 * DAY) == [b"late"]
    assert shown_to(store, "u1", NOW + 10 * DAY) == []


def test_the_oldest_shown_items_go_when_there_are_too_many(store):
    for second in range(5):
        store.record_shown([("u1", NOW + second, [b"%d" % second])], WEEK, 3)
    assert shown_to(store, "u1", NOW + 9) == [b"2", b"3", b"4"]


def test_an_item_shown_again_counts_from_the_last_time(store):
    for day in (0, 4):
        store.record_shown([("u1", NOW + day * DAY, [b"a"])], WEEK, 3)
    assert shown_to(store, "u1", NOW + 10 * DAY) == [b"a"]


@pytest.mark.parametrize("url", ["unix:///nowhere/redis.sock", "redis://127.0.0.1:1/0"])
def test_a_redis_that_is_gone_is_told_at_once(url):
    store = UserStore(connect(url, 0.02), SPACE, SCHEMA)
    started = time.perf_counter()
    with pytest.raises(Unavailable, match="Redis does not answer"):
        store.read(["u1"], [NOW], WEEK)
    with pytest.raises(Unavailable):
        store.record_shown([("u1", NOW, [b"a"])], WEEK, 3)
    store.cache_embeddings(["u1"], [()], np.zeros((1, 128), np.float32))
    assert time.perf_counter() - started < 0.5


def test_a_request_about_another_time_does_not_touch_what_is_remembered_of_now(store):
    today = int(time.time())
    store.record_shown([("u1", today, [b"a", b"b"])], WEEK, 100)
    store.record_shown([("u1", today - 30 * DAY, [b"a"])], WEEK, 100)
    store.record_shown([("u1", today + 900 * DAY, [b"c"])], WEEK, 100)
    assert shown_to(store, "u1", today) == [b"a", b"b"]
