"""What users consumed, in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import redis

from trident.errors import ReleaseError
from trident.rules import DAY
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.state import consumed
from trident.state.consumed import add_consumed
from trident.state.feedback import Event, FeedbackStore
from trident.state.store import UserStore
from trident.users import Consumed, UserRows, write_users

SPACE, SCHEMA, NOW = "00" * 8, "ff" * 8, 1_700_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def settings(server) -> Settings:
    redis.Redis.from_url(server.url).flushall()
    return replace(Settings(redis_url=server.url), redis_timeout=1.0)


def read(settings: Settings, user: str, days: int = 0) -> tuple[bytes, ...]:
    store = UserStore.connect(settings, SPACE, SCHEMA, days)
    try:
        return store.read([user], [NOW], 7 * DAY)[0].consumed
    finally:
        store.close()


def test_events_of_the_types_that_the_rules_name_are_consumed(settings):
    store = FeedbackStore.connect(settings, ("purchase",))
    store.keep([Event("u", "a", "purchase", NOW - 9), Event("u", "b", "click", NOW), Event("u", "c", "purchase", NOW)])
    store.keep([Event("u", "a", "purchase", NOW - 99)])
    store.close()
    assert read(settings, "u") == (b"c", b"a")
    assert read(settings, "another") == ()


def test_what_is_older_than_the_days_of_the_rules_does_not_count(settings):
    pipe = redis.Redis.from_url(settings.redis_url).pipeline()
    add_consumed(pipe, "u", {b"old": NOW - 2 * DAY, b"new": NOW - 2 * DAY + 1})
    pipe.execute()
    assert read(settings, "u", days=2) == (b"new",)
    assert read(settings, "u") == (b"new", b"old")


def test_only_the_newest_are_kept(settings, monkeypatch):
    monkeypatch.setattr(consumed, "MOST", 2)
    pipe = redis.Redis.from_url(settings.redis_url).pipeline()
    add_consumed(pipe, "u", {b"a": 1, b"b": 3, b"c": 2})
    pipe.execute()
    assert read(settings, "u") == (b"b", b"c")


def test_a_key_of_another_type_is_as_good_as_none(settings):
    redis.Redis.from_url(settings.redis_url).set("user_consumed:u", "x")
    assert read(settings, "u") == ()


def test_the_columns_of_a_release_keep_what_each_user_consumed(tmp_path):
    columns = {"features": np.zeros((3, 40)), "history": np.full((3, 50), -1), "history_at": np.zeros((3, 50))}
    given = Consumed(np.array([2, 2, 3]), np.array([5, 1, 5]), np.array([20, 10, 30]))
    write_users(tmp_path, ["a", "b", "c"], np.zeros(40), consumed=given, region=np.zeros(3), age=np.zeros(3), **columns)
    rows = UserRows.open(tmp_path)
    found = [[part.tolist() for part in rows.consumed.of(user)] for user in range(3)]
    assert found == [[[5, 1], [20, 10]], [[], []], [[5], [30]]]
    np.save(tmp_path / "consumed_times.npy", np.zeros(2, np.int64))
    with pytest.raises(ReleaseError, match="expected 3 ends and 3 items and times of int64"):
        UserRows.open(tmp_path)
