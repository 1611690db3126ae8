"""What is known of users in Redis: read in one pipelined round trip per request, written without retry."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import redis
from redis.client import Pipeline

from trident.errors import Unavailable
from trident.rules.consumed import consumed_since
from trident.settings import Settings
from trident.state.answered import TTL, answered_key, pack_answered, unpack_answered
from trident.state.connection import BoundedRedis, bounded
from trident.state.consumed import add_consumed, read_consumed
from trident.state.feast import FeastUser
from trident.state.history import add_taste, read_taste
from trident.state.impressions import Logged, add_logged, count_logged
from trident.state.keys import key
from trident.state.layout import (
    EMBEDDING_TTL,
    ROW_TTL,
    UserRow,
    pack_embedding,
    pack_row,
    taste_mark,
    unpack_embedding,
    unpack_row,
)


@dataclass(frozen=True)
class UserState:
    """What Redis holds of one user; None or empty where it holds nothing that can be used."""

    row: UserRow | None = None
    embedding: np.ndarray | None = None  # of exactly this history
    embedding_refused: bool = False  # there was one, but damaged or of another space
    history: tuple[bytes, ...] = ()  # item ids clicked or bought last, newest first
    consumed: tuple[bytes, ...] = ()  # item ids that the rules count as consumed
    shown: tuple[bytes, ...] = ()  # item ids shown within the window, but for those shown under this request's id
    answered_at: int | None = None  # unix second at which this request's id was answered before
    unavailable: bool = False  # Redis did not tell row or history
    shown_unknown: bool = False  # nor what was shown or consumed


class UserStore:
    """The users of one embedding space and feature schema."""

    def __init__(self, client: redis.Redis | BoundedRedis, space: str, schema: str, consumed_days: int = 0) -> None:
        """`consumed_days` is for how long what a user consumed counts; 0 is for ever."""
        self._redis = client
        self._consumed_days = consumed_days
        self._space = space
        self._schema = schema

    @classmethod
    def connect(cls, settings: Settings, space: str, schema: str, consumed_days: int = 0) -> UserStore:
        """Prepare a client for `settings.redis_url`; no server of it is asked for a user before the first read."""
        return cls(bounded(settings), space, schema, consumed_days)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def read(
        self, users: Sequence[str], now: Sequence[int], window: int, requests: Sequence[str] | None = None
    ) -> list[UserState]:
        """Read the state of `users`, with the items shown less than `window` seconds from `now` (unix seconds).

        `requests` are the ids of their requests, "" for none: what was shown under the same id does not count as shown.
        Raises Unavailable when Redis tells of none of the users in time.
        """
        requests = requests or [""] * len(users)
        pipe = self._redis.pipeline(transaction=False)
        for user, moment in zip(users, now, strict=True):
            pipe.execute_command("GET", key("user_emb", self._space, user))
            pipe.execute_command("GET", key("user_feat", self._schema, user))
            read_taste(pipe, user)
            read_consumed(pipe, user, consumed_since(moment, self._consumed_days))
            recent = key("recent_items", user)
            pipe.execute_command("ZRANGEBYSCORE", recent, f"({moment - window}", f"({moment + window}")
        for user, request in zip(users, requests, strict=True):
            if request:
                pipe.execute_command("GET", answered_key(request, user))
        replies = _run(pipe)
        if all(_lost(reply) for reply in replies):
            raise Unavailable(f"user state: Redis does not answer: {type(replies[0]).__name__}")
        answered = iter(replies[5 * len(users) :])
        return [
            self._state(*replies[5 * i : 5 * i + 5], next(answered) if request else None)
            for i, request in enumerate(requests)
        ]

    def _state(self, *replies: Any) -> UserState:
        """The state of one user from its replies, some of which may be errors: what came counts all the same."""
        embedding, row, history, consumed, shown, answered = [
            None if isinstance(reply, Exception) else reply for reply in replies
        ]
        found, before = unpack_embedding(embedding, self._space), unpack_answered(answered)
        again = set(before.items) if before else ()
        return UserState(
            row=unpack_row(row, self._schema),
            embedding=found.vector if found and found.taste == taste_mark(history or ()) else None,
            embedding_refused=_damaged(replies[0]) or (embedding is not None and found is None),
            history=tuple(history or ()),
            consumed=tuple(consumed or ()),
            shown=tuple([item for item in shown or () if item not in again]),
            answered_at=before.moment if before else None,
            unavailable=_lost(replies[1]) or _lost(replies[2]),
            shown_unknown=consumed is None or shown is None,
        )

    def cache_embeddings(
        self, users: Sequence[str], histories: Sequence[Sequence[bytes]], embeddings: np.ndarray
    ) -> None:
        """Keep (n, 128) embeddings for an hour, each for the history (item ids) that it was computed from.

        A Redis that does not answer is left alone.
        """
        pipe = self._redis.pipeline(transaction=False)
        for user, history, embedding in zip(users, histories, embeddings, strict=True):
            value = pack_embedding(embedding, self._space, taste_mark(history))
            pipe.set(key("user_emb", self._space, user), value, ex=EMBEDDING_TTL)
        _run(pipe)  # what is lost the next request computes again

    def keep_found(self, users: Sequence[str], found: Sequence[FeastUser], now: Sequence[int]) -> list[UserState]:
        """Keep what Feast said of users, each row a little longer than the embedding that will lie beside it.

        What Feast knows of taste and consumed items is merged with what Redis holds. Returns row, history and consumed
        items of each user as they are then at `now` (unix seconds); `unavailable` where Redis does not take them.
        """
        pipe = self._redis.pipeline(transaction=False)
        for user, known in zip(users, found, strict=True):
            pipe.set(key("user_feat", self._schema, user), pack_row(known.row, self._schema), ex=ROW_TTL)
            if known.taste:
                add_taste(pipe, user, known.taste)
            if known.consumed:
                add_consumed(pipe, user, known.consumed)
        for user, moment in zip(users, now, strict=True):
            read_taste(pipe, user)
            read_consumed(pipe, user, consumed_since(moment, self._consumed_days))
        told = _run(pipe)[-2 * len(users) :]
        return [
            UserState(known.row, history=tuple(history), consumed=tuple(consumed))
            if isinstance(history, list) and isinstance(consumed, list)
            else UserState(unavailable=True)
            for known, history, consumed in zip(found, told[::2], told[1::2], strict=True)
        ]

    def record_shown(
        self,
        shown: Sequence[tuple[str, int, Sequence[bytes]]],
        window: int,
        most: int,
        requests: Sequence[str] | None = None,
        logged: Sequence[Logged] = (),
    ) -> None:
        """Remember (user, unix second, item ids) as shown, at most `most` items each for `window` seconds.

        `requests` are the ids of the requests, "" for none; under an id the first answer is remembered, for retries.
        A request about another time than now neither shortens what is remembered of an item nor drops what is recent.
        `logged` goes along; what of it is lost is counted. Raises Unavailable when Redis does not take all of what is
        to be remembered in time.
        """
        pipe = self._redis.pipeline(transaction=False)
        for (user, moment, items), request in zip(shown, requests or [""] * len(shown), strict=True):
            if items:
                recent = key("recent_items", user)
                pipe.execute_command("ZADD", recent, "GT", *[part for item in items for part in (moment, item)])
                pipe.execute_command("ZREMRANGEBYSCORE", recent, "-inf", min(moment, int(time.time())) - window)
                pipe.execute_command("ZREMRANGEBYRANK", recent, 0, -most - 1)
                pipe.execute_command("EXPIRE", recent, window)
                if request:
                    value = pack_answered(moment, items)
                    pipe.execute_command("SET", answered_key(request, user), value, "EX", TTL, "NX")
        own = len(pipe)
        add_logged(pipe, logged)
        replies = _run(pipe)
        count_logged(logged, replies[own:])
        for reply in replies[:own]:
            if isinstance(reply, Exception):
                raise Unavailable(f"shown items: Redis does not take them: {type(reply).__name__}")


def _run(pipe: Pipeline) -> list:
    """The replies of a pipeline, or an error in the place of each that did not come."""
    commands = len(pipe)
    try:
        return pipe.execute(raise_on_error=False)
    except (redis.RedisError, OSError) as error:
        return [error] * commands


def _damaged(reply: object) -> bool:
    """Whether a key holds another type of value than ours: as good as none."""
    return isinstance(reply, redis.ResponseError) and str(reply).startswith("WRONGTYPE")


def _lost(reply: object) -> bool:
    """Whether Redis did not tell what a key holds."""
    return isinstance(reply, Exception) and not _damaged(reply)
