"""Removing user rows that no release can read any more."""

from __future__ import annotations

import redis

from trident.state.connection import connect

BATCH = 1_000


def forget_users(redis_url: str, schema: str) -> None:
    """Delete all user rows of a feature schema; a Redis that does not answer keeps them, and nobody reads them."""
    client = connect(redis_url, timeout=5.0)
    try:
        keys: list[bytes] = []
        for key in client.scan_iter(f"user_feat:{schema}:*", count=BATCH):
            keys.append(key)
            if len(keys) == BATCH:
                client.unlink(*keys)
                keys.clear()
        if keys:
            client.unlink(*keys)
    except (redis.RedisError, OSError):
        return
