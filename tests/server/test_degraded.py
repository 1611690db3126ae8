"""Each rung of the ladder: the real thing is broken, 20 items come with the reason, afterwards all is well again."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis as redis_py

from trident.contract import DEGRADED
from trident.serving import stubs
from trident.serving.healing import Healer
from trident.state.connection import connect
from trident.state.keys import key
from trident_client import Recommendation
from trident_loadtest.scrape import scraped

KNOWN = "u11"
RECOVERY = 5.0  # seconds
REPORT = 5.0  # seconds for what was counted to reach the page


@pytest.fixture(scope="module")
def said(served) -> Iterator[Counter[str]]:
    """How many answers of these tests gave each reason; in the end the server must have counted the same."""
    counts: Counter[str] = Counter()

    def counted() -> dict[str, int]:
        return {r: int(scraped(served.server.metrics, "trident_degraded_total", reason=r)) for r in DEGRADED}

    time.sleep(2.5)  # what other tests were told is on the page by then
    before = counted()
    yield counts
    end = time.monotonic() + REPORT
    while (grown := {r: n - before[r] for r, n in counted().items() if n > before[r]}) != dict(counts):
        assert time.monotonic() < end, (grown, counts)
        time.sleep(0.1)


@pytest.fixture
def ask(grpc, said) -> Callable[..., Recommendation]:
    """Asks, and sees that 20 different items come."""

    def once(user: str = KNOWN, record: bool = False) -> Recommendation:
        answer = grpc.recommend(user, record=record)
        said.update(answer.degraded)
        assert len(set(answer.item_ids)) == 20
        return answer

    return once


@pytest.fixture
def redis(served) -> Iterator[redis_py.Redis]:
    with connect(served.server.redis_url, 1.0) as client:
        yield client


def until(ask: Callable[[], Recommendation], good: Callable[[frozenset[str]], bool]) -> None:
    """Ask until the reasons are as they should be."""
    end = time.monotonic() + RECOVERY
    while not good(frozenset((answer := ask()).degraded)):
        assert time.monotonic() < end, answer.degraded
        time.sleep(0.01)


def embedding_key(served, user: str) -> str:
    return key("user_emb", served.oracle.release.manifest.embedding_space, user)


def test_embedding_recomputed_after_a_cached_one_was_spoiled(served, redis, ask):
    good = ask()
    assert good.degraded == ()
    value = bytearray(redis.get(embedding_key(served, KNOWN)))
    value[40] ^= 1
    redis.set(embedding_key(served, KNOWN), bytes(value))
    spoiled = ask()
    assert spoiled.degraded == ("embedding_recomputed",)
    assert spoiled.items == good.items
    assert ask().degraded == ()


def test_dedup_unavailable_while_redis_has_no_memory_to_remember(redis, ask):
    good = ask()
    redis.config_set("maxmemory", 1)
    try:
        full = ask(record=True)
        assert full.degraded == ("dedup_unavailable",)
        assert full.item_ids == good.item_ids
        assert ask().degraded == ()  # nothing was to be remembered
    finally:
        redis.config_set("maxmemory", 0)
    assert ask(record=True).degraded == ()
    assert not set(ask().item_ids) & set(good.item_ids)


def test_user_state_unavailable_and_later_live_updates_stale_while_redis_is_stopped(served, ask):
    (child,) = [child for child in served.server.children if child.name == "redis-server"]
    gone = {"user_state_unavailable", "dedup_unavailable"}
    assert ask().degraded == ()
    os.kill(child.pid, signal.SIGSTOP)
    try:
        assert gone <= set(ask().degraded)
        until(ask, lambda said: said == gone | {"live_updates_stale"})
    finally:
        os.kill(child.pid, signal.SIGCONT)
    until(ask, lambda said: not said)


def test_cold_start_until_something_is_known_of_the_user(served, redis, ask):
    row = key("user_feat", served.oracle.release.manifest.feature_schema, "")
    assert ask("a newcomer").degraded == ("cold_start",)
    redis.set(f"{row}a newcomer", redis.get(row + KNOWN))
    assert ask("a newcomer").degraded == ()
    redis.delete(f"{row}a newcomer", embedding_key(served, "a newcomer"))
    assert ask("a newcomer").degraded == ("cold_start",)


def test_popular_fallback_while_the_user_tower_is_dead(served, redis, ask):
    server = served.server.triton
    lines: list[str] = []
    healer = Healer(server.child.pid, server.repository, server.http, lines.append, server.key)
    healer.look()
    assert ask().degraded == ()
    (tower,) = [pid for pid, stub in stubs.living(server.child.pid).items() if stub.model == "user_tower"]
    os.kill(tower, signal.SIGKILL)
    try:
        assert ask().degraded == ()  # a cached embedding needs no tower
        redis.delete(embedding_key(served, KNOWN))
        assert ask().degraded == ("popular_fallback",)
        assert ask("a newcomer").degraded == ("cold_start", "popular_fallback")
    finally:
        end = time.monotonic() + RECOVERY
        while not any("answers again" in line for line in lines):
            assert time.monotonic() < end, lines
            healer.look()
            time.sleep(0.1)
        healer.stop()
    assert ask().degraded == ()
    assert ask("a newcomer").degraded == ("cold_start",)
