"""What users consumed, in Redis: `user_consumed:{user}`, items that the rules leave out from then on.

A sorted set of item ids, each with the second of its newest such event, at most MOST of them. The rules say which
events count and for how long. Repeated and late events change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from redis.client import Pipeline

from trident.state.keys import key

MOST = 2_000


def consumed_key(user: str) -> str:
    """The key of what one user consumed."""
    return key("user_consumed", user)


def add_consumed(pipe: Pipeline, user: str, items: Mapping[bytes, int]) -> None:
    """Queue events, item id → unix second, for one user; an item keeps its newest second."""
    pipe.zadd(consumed_key(user), dict(items), gt=True)
    pipe.zremrangebyrank(consumed_key(user), 0, -MOST - 1)


def read_consumed(pipe: Pipeline, user: str, since: int) -> None:
    """Queue the reading of what one user consumed from the second `since` on: item ids, newest first."""
    pipe.execute_command("ZREVRANGEBYSCORE", consumed_key(user), "+inf", since)
