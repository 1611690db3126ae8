"""Item features in Redis, a hash per item with a field per feature, as feature stores lay them out.

Keys and fields are as short as they can be and the values are four bytes, which is less than a feature store spends.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import numpy as np
import redis

from trident.contract import ITEM_FEATURES, NO_ITEM
from trident.errors import Unavailable
from trident.features.clock import advance
from trident.features.matrix import feature_matrix
from trident.release import Release
from trident.stages.impressions import feature_sample
from trident.stages.stage import Tensors

DIGITS = 8  # of a row number in a key
FIELDS = tuple(f"{field:02d}".encode() for field in range(ITEM_FEATURES))
BATCH = 20_000  # items per write
OK = b":%d\r\n" % ITEM_FEATURES  # what HSET answers: so many new fields


class RedisItemRows:
    """The stage `RankingFeatures` with its item features from Redis: one HMGET per candidate, all in one round trip."""

    def __init__(self, client: redis.Redis, release: Release) -> None:
        self._redis, self._as_of = client, release.manifest.as_of

    def __call__(
        self,
        candidate_rows: np.ndarray,
        similarity: np.ndarray,
        user_features: np.ndarray,
        context_features: np.ndarray,
        request_time: np.ndarray,
    ) -> Tensors:
        """`feature_matrix` and `feature_sample` of the candidates, as in the contract of `candidates`."""
        users, k = candidate_rows.shape
        rows = candidate_rows.ravel()
        items = advance(self.read(np.maximum(rows, 0)), "item", np.repeat(request_time[:, 0] - self._as_of, k))
        items[rows == NO_ITEM] = np.nan
        matrix = feature_matrix(user_features, items.reshape(users, k, ITEM_FEATURES), context_features, similarity)
        return {"feature_matrix": matrix, "feature_sample": feature_sample(matrix, np.zeros(users, bool))}

    def read(self, rows: np.ndarray) -> np.ndarray:
        """The features of items: (n, 40) float32."""
        pipe = self._redis.pipeline(transaction=False)
        for row in rows.tolist():
            pipe.hmget(key(row), FIELDS)
        values = b"".join(value for fields in pipe.execute() for value in fields)
        return np.frombuffer(values, np.float32).reshape(len(rows), ITEM_FEATURES).copy()


def key(row: int) -> bytes:
    """The key of one item."""
    return b"i:%0*d" % (DIGITS, row)


def load(path: str, features: np.ndarray, said: Callable[[int], object] = lambda done: None) -> None:
    """Write the hashes of all items through the unix socket `path`; `said` hears how many are written.

    All commands have the same length, so that numpy writes them: ten million with a client would take half an hour.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(path)
        answers = connection.makefile("rb")
        for start in range(0, len(features), BATCH):
            batch = np.asarray(features[start : start + BATCH], np.float32)
            connection.sendall(commands(start, batch))
            if any(answers.readline() != OK for _ in batch):
                raise Unavailable("Redis refuses the item features: is it empty, and is there memory for them?")
            said(start + len(batch))


def commands(first: int, features: np.ndarray) -> bytes:
    """An HSET in Redis' protocol for each row of `features` (n, 40) float32, numbered from `first`."""
    head, places = _template()
    made = np.tile(np.frombuffer(head, np.uint8), (len(features), 1))
    numbers = first + np.arange(len(features))
    for digit in range(DIGITS):
        made[:, places[0] + digit] = ord("0") + numbers // 10 ** (DIGITS - 1 - digit) % 10
    for place, column in zip(places[1:], features.T, strict=True):
        made[:, place : place + 4] = np.ascontiguousarray(column)[:, None].view(np.uint8)
    return made.tobytes()


def _template() -> tuple[bytes, list[int]]:
    """A command with zeros for everything that differs, and where that is: the row number, then each value."""
    made, places = b"*%d\r\n" % (2 + 2 * ITEM_FEATURES), []
    for part, differs in _parts():
        made += b"$%d\r\n" % len(part)
        if differs:
            places.append(len(made) + part.find(b"0" * differs))
        made += part + b"\r\n"
    return made, places


def _parts() -> Iterator[tuple[bytes, int]]:
    """The words of a command, with the number of bytes that differ from item to item."""
    yield b"HSET", 0
    yield key(0), DIGITS
    for field in FIELDS:
        yield field, 0
        yield b"0000", 4
