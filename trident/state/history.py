"""The taste of users in Redis: `user_history:{user}`, the items clicked or bought last.

A sorted set of item ids, each with the second of its newest taste event, at most HISTORY of them. Newest first, and
within a second the greater id first: so Redis itself orders and trims, and `trident_export` orders its training rows
the same way. Repeated and late events change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from redis.client import Pipeline

from trident.state.keys import key
from trident.users import HISTORY


def history_key(user: str) -> str:
    """The key of one user's taste."""
    return key("user_history", user)


def add_taste(pipe: Pipeline, user: str, items: Mapping[bytes, int]) -> None:
    """Queue taste events, item id → unix second, for one user; an item keeps its newest second."""
    pipe.zadd(history_key(user), dict(items), gt=True)
    pipe.zremrangebyrank(history_key(user), 0, -HISTORY - 1)


def read_taste(pipe: Pipeline, user: str) -> None:
    """Queue the reading of one user's taste: item ids, newest first."""
    pipe.execute_command("ZREVRANGE", history_key(user), 0, HISTORY - 1)
