"""What is known of users in Redis: read in one pipelined round trip per request, written without retry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trident.errors import Unavailable
from trident.settings import Settings
from trident.state.layout import EMBEDDING_TTL, UserRow, pack_embedding, unpack_embedding, unpack_row
from trident.users import HISTORY


@dataclass(frozen=True)
class UserState:
    """What Redis holds of one user; None or empty where it holds nothing that can be used."""

    row: UserRow | None = None
    embedding: np.ndarray | None = None
    embedding_refused: bool = False  # there was one, but damaged or of another space
    history: tuple[bytes, ...] = ()  # item ids clicked or bought last, newest first
    shown: tuple[bytes, ...] = ()  # item ids shown within the window


class UserStore:
    """The users of one embedding space and feature schema."""

    def __init__(self, client: redis.Redis, space: str, schema: str) -> None:
        self._redis = client
        self._space = space
        self._schema = schema

    @classmethod
    def connect(cls, settings: Settings, space: str, schema: str) -> UserStore:
        """Prepare a client for `settings.redis_url`; nothing is sent before the first read."""
        return cls(connect(settings.redis_url, settings.redis_timeout), space, schema)

    def read(self, users: Sequence[str], now: Sequence[int], window: int) -> list[UserState]:
        """Read the state of `users`, with the items shown less than `window` seconds from `now` (unix seconds).

        Raises Unavailable when Redis does not answer in time.
        """
        pipe = self._redis.pipeline(transaction=False)
        for user, moment in zip(users, now, strict=True):
            pipe.get(f"user_emb:{self._space}:{user}")
            pipe.get(f"user_feat:{self._schema}:{user}")
            pipe.lrange(f"user_history:{user}", 0, HISTORY - 1)
            pipe.zrangebyscore(f"recent_items:{user}", f"({moment - window}", f"({moment + window}")
        try:
            answers = pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise Unavailable(f"user state: Redis does not answer: {type(error).__name__}") from None
        return [self._state(*answers[i : i + 4]) for i in range(0, len(answers), 4)]

    def _state(self, embedding: bytes | None, row: bytes | None, history: list, shown: list) -> UserState:
        found = unpack_embedding(embedding, self._space)
        return UserState(
            row=unpack_row(row, self._schema),
            embedding=found,
            embedding_refused=embedding is not None and found is None,
            history=tuple(history),
            shown=tuple(shown),
        )

    def cache_embeddings(self, users: Sequence[str], embeddings: np.ndarray) -> None:
        """Keep (n, 128) embeddings for an hour; a Redis that does not answer is left alone."""
        pipe = self._redis.pipeline(transaction=False)
        for user, embedding in zip(users, embeddings, strict=True):
            pipe.set(f"user_emb:{self._space}:{user}", pack_embedding(embedding, self._space), ex=EMBEDDING_TTL)
        try:
            pipe.execute()
        except (redis.RedisError, OSError):
            return  # the next request computes it again

    def record_shown(self, shown: Sequence[tuple[str, int, Sequence[bytes]]], window: int, most: int) -> None:
        """Remember (user, unix second, item ids) as shown, at most `most` items each for `window` seconds.

        A request about another time than now neither shortens what is remembered of an item nor drops what is recent.
        Raises Unavailable when Redis does not answer in time.
        """
        pipe = self._redis.pipeline(transaction=False)
        for user, moment, items in shown:
            if items:
                key = f"recent_items:{user}"
                pipe.zadd(key, dict.fromkeys(items, moment), gt=True)
                pipe.zremrangebyscore(key, "-inf", min(moment, int(time.time())) - window)
                pipe.zremrangebyrank(key, 0, -most - 1)
                pipe.expire(key, window)
        try:
            pipe.execute()
        except (redis.RedisError, OSError) as error:
            raise Unavailable(f"shown items: Redis does not answer: {type(error).__name__}") from None


def connect(url: str, timeout: float) -> redis.Redis:
    """A client that waits `timeout` seconds at most for a connection or an answer, and never tries twice."""
    return redis.Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
