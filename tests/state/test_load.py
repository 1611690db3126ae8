"""Pushing user rows into a real Redis: whole, resumed, and never mixed between releases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from trident.errors import Unavailable
from trident.features.vocabulary import Vocabulary
from trident.items import COLUMNS as ITEM_COLUMNS
from trident.items import write_items
from trident.release import Manifest, Release
from trident.serving.redis import EmbeddedRedis
from trident.state import load
from trident.state.load import LOADED, push_users
from trident.state.store import UserStore
from trident.users import UserRows, write_users

SCHEMA, SPACE = "00" * 8, "ff" * 8
USERS = 10


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def store(server) -> redis.Redis:
    client = redis.Redis.from_url(server.url)
    client.flushall()
    return client


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "BATCH", 3)


def made(folder: Path, created: str, age: int) -> Release:
    """A release with two items and ten users of one age; the even ones liked item b, then a."""
    sizes = {"features": (2, 40), "vectors": (2, 128), "blocked": (2, 1), "popular": (1, 1)}
    columns = {name: np.zeros(sizes.get(name, 2), dtype) for name, dtype in ITEM_COLUMNS.items()}
    write_items(folder / "items", ["a", "b"], ["", ""], [], **columns)
    history = np.full((USERS, 50), -1)
    history[::2, :2] = 0, 1
    history_at = np.zeros((USERS, 50))
    history_at[::2, :2] = 901, 900
    write_users(
        folder / "users",
        [f"u{n}" for n in range(USERS)],
        np.zeros(40, np.float32),
        features=np.full((USERS, 40), age, np.float32),
        region=np.zeros(USERS),
        age=np.full(USERS, age),
        history=history,
        history_at=history_at,
    )
    vocabulary = Vocabulary(regions=("NO",)).to_dict()
    return Release(folder, Manifest(created, SPACE, SCHEMA, 1_000, 2, USERS, vocabulary, {}))


@pytest.fixture
def first(tmp_path: Path) -> Release:
    return made(tmp_path / "1", "first", age=30)


@pytest.fixture
def second(tmp_path: Path) -> Release:
    return made(tmp_path / "2", "second", age=50)


def push(release: Release, server, stop_after: int | None = None) -> int:
    """Push a release; with `stop_after`, until that many rows are written."""

    def watch(row: int, rows: int) -> None:
        if row == stop_after:
            raise KeyboardInterrupt

    return push_users(UserRows.open(release.folder / "users"), release, server.url, watch)


def ages(store) -> list[int | None]:
    states = UserStore(store, SPACE, SCHEMA).read([f"u{n}" for n in range(USERS)], [0] * USERS, 1)
    return [state.row.age if state.row else None for state in states]


def test_every_user_gets_row_and_history_newest_first(first, server, store):
    assert push(first, server) == USERS
    state, other = UserStore(store, SPACE, SCHEMA).read(["u4", "u5"], [0, 0], 1)
    assert (state.row.as_of, state.row.region, state.row.age) == (1_000, "NO", 30)
    np.testing.assert_array_equal(state.row.features, np.full(40, 30, np.float32))
    assert (state.history, other.history) == ((b"a", b"b"), ())


def test_what_was_liked_since_a_releases_data_ended_stays_on_top(first, second, server, store):
    push(first, server)
    store.zadd("user_history:u4", {"b": 950, "new": 960})
    push(second, server)
    (state,) = UserStore(store, SPACE, SCHEMA).read(["u4"], [0], 1)
    assert state.history == (b"new", b"b", b"a")


def test_a_second_push_of_the_same_release_writes_nothing(first, server):
    push(first, server)
    assert push(first, server) == 0


def test_a_stopped_push_goes_on_where_it_stopped(first, server, store):
    with pytest.raises(KeyboardInterrupt):
        push(first, server, stop_after=6)
    assert ages(store) == [30] * 6 + [None] * 4
    store.delete(f"user_feat:{SCHEMA}:u0")  # to see that it is not written again
    assert push(first, server) == 4
    assert ages(store) == [None] + [30] * 9
    assert push(first, server) == 0


def test_a_push_of_another_release_in_between_starts_from_the_first_row(first, second, server, store):
    with pytest.raises(KeyboardInterrupt):
        push(first, server, stop_after=6)
    assert push(second, server) == USERS
    assert push(first, server) == USERS
    assert ages(store) == [30] * USERS


def test_a_release_that_another_one_has_overwritten_in_part_is_pushed_again(first, second, server, store):
    push(first, server)
    with pytest.raises(KeyboardInterrupt):
        push(second, server, stop_after=3)
    assert push(first, server) == USERS
    assert ages(store) == [30] * USERS


def test_progress_counts_rows_up_to_all(first, server, store):
    seen: list[tuple[int, int]] = []
    push_users(UserRows.open(first.folder / "users"), first, server.url, lambda row, rows: seen.append((row, rows)))
    assert seen == [(3, 10), (6, 10), (9, 10), (10, 10)]


def test_a_release_without_users_is_loaded_at_once(first, server, store):
    empty = first.folder.parent / "empty"
    wide = dict.fromkeys(("history", "history_at"), np.zeros((0, 50)))
    columns = {"features": np.zeros((0, 40)), "region": [], "age": [], **wide}
    write_users(empty, [], np.zeros(40, np.float32), **columns)
    assert push_users(UserRows.open(empty), replace(first, manifest=first.manifest), server.url) == 0
    assert store.exists(LOADED)


def test_an_embedding_of_before_is_dropped(first, server, store):
    store.set(f"user_emb:{SPACE}:u1", b"old")
    push(first, server)
    assert not store.exists(f"user_emb:{SPACE}:u1")


def test_a_redis_that_is_gone_is_unavailable(first):
    with pytest.raises(Unavailable, match="Redis does not take the user rows"):
        push_users(UserRows.open(first.folder / "users"), first, "redis://127.0.0.1:9")
