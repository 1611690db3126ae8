"""User rows from a Feast feature server: one HTTP call for all users of a request that need one, never tried twice.

The rows of a feature schema are a feature view named after it. The server is asked for that view by name and puts the
name before every column of its answer, so a row of another schema is never taken for one of ours.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import numpy as np

from trident.errors import SetupError, Unavailable
from trident.features.registry import USER
from trident.settings import REDIS, Settings
from trident.state.breaker import Breaker
from trident.state.layout import UserRow
from trident.users import HISTORY as LONGEST
from trident.users import OLDEST
from trident.wire import Connection

VIEW = "user_rows_{schema}"
"""Name of the feature view, and of the feature service, with the rows of a feature schema (16 hex digits)."""

FEATURES = tuple(feature.name for feature in USER)
REGION, AGE, AS_OF = "home_region", "age", "as_of"
HISTORY, HISTORY_AT, CONSUMED, CONSUMED_AT = "history", "history_at", "consumed", "consumed_at"
"""What a row of the view has beside its features."""

COLUMNS = (*FEATURES, REGION, AGE, AS_OF, HISTORY, HISTORY_AT, CONSUMED, CONSUMED_AT)
PORT = 6566
PATH = "/get-online-features"
LATEST = 4_102_444_800  # unix seconds
QUIET_S = 10.0
"""So long after a reason was logged the next one is not."""

_ADDRESS = re.compile(r"feast://(\[[0-9a-fA-F:.]+\]|[^\s/@?#:\[\]]+)(?::(\d{1,5}))?/?")

log = logging.getLogger("trident.feast")


@dataclass(frozen=True)
class FeastUser:
    """A user as Feast knows him: the row, and the taste and what he consumed as item id → unix second."""

    row: UserRow
    taste: Mapping[bytes, int]
    consumed: Mapping[bytes, int]


class FeastClient:
    """A kept connection to one feature server for the rows of one feature schema, used by one thread at a time."""

    def __init__(self, host: str, port: int, timeout: float, schema: str) -> None:
        self._connection = Connection(host, port)
        self._timeout = timeout  # seconds, from connecting to the last byte
        self._view = VIEW.format(schema=schema)
        self._name = f"Feast at {host}:{port}"
        self._breaker = Breaker(self._name)
        self._quiet_until = 0.0

    @classmethod
    def of(cls, settings: Settings, schema: str) -> FeastClient | None:
        """The client of the feature server that the settings name, None where rows come from Redis alone.

        Nothing is sent before the first read. Raises SetupError for a source that makes no sense.
        """
        address = feast_address(settings.feature_source)
        return cls(*address, settings.feast_timeout, schema) if address else None

    def read(self, users: Sequence[str]) -> list[FeastUser | None]:
        """The rows of `users`, None for a user that Feast does not know.

        Raises Unavailable when no whole answer came in time, or one that is not what was asked for; the log says why.
        After three such answers in a row Feast is asked once a second, until one is right.
        """
        if not self._breaker.allows():
            raise Unavailable(f"{self._name} is not asked: it did not answer a moment ago")
        distinct = list(dict.fromkeys(users))
        try:
            found = dict(zip(distinct, self._read(distinct), strict=True))
        except Unavailable as problem:
            self._breaker.failed()
            self._tell(problem)
            raise
        self._breaker.succeeded()
        return [found[user] for user in users]

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _read(self, users: Sequence[str]) -> list[FeastUser | None]:
        question = {"feature_service": self._view, "entities": {"user_id": users}, "full_feature_names": True}
        status, content = self._ask(json.dumps(question).encode())
        if status != 200:
            raise self.problem(f"HTTP {status}: {content[:300].decode('utf-8', 'replace')}")
        try:
            return read_users(json.loads(content), self._view, len(users))
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise self.problem(f"not an answer to what was asked: {type(error).__name__}: {error}") from None

    def _ask(self, body: bytes) -> tuple[int, bytes]:
        if not self._connection.alive():
            self._connection.close()  # the other side closed it while nobody asked: a new one is no second try
        end, headers = time.monotonic() + self._timeout, {"Content-Type": "application/json"}
        try:
            response, content = self._connection.request_until(end, "POST", PATH, body, headers)
        except (OSError, HTTPException) as error:
            self._connection.close()
            late = isinstance(error, TimeoutError)
            raise self.problem(
                f"no whole answer within {self._timeout * 1000:g} ms" if late else f"{type(error).__name__}: {error}"
            ) from None
        return response.status, content

    def problem(self, what: str) -> Unavailable:
        """The error that says what is wrong with this feature server's rows."""
        return Unavailable(f"user rows: {self._name}, view {self._view}: {what}")

    def _tell(self, problem: Unavailable) -> None:
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_S
            log.warning("%s", problem)


def feast_address(source: str) -> tuple[str, int] | None:
    """Host and port of "feast://host:port", None for "redis"; raises SetupError for anything else."""
    if source == REDIS:
        return None
    found = _ADDRESS.fullmatch(source)
    if found is None or not 0 < int(found[2] or PORT) < 65_536:
        raise SetupError(f"FEATURE_SOURCE: expected '{REDIS}' or 'feast://host:port', got {source!r}")
    return found[1].strip("[]"), int(found[2] or PORT)


def require_feast(host: str, port: int, patience: float = 3.0) -> None:
    """Raise SetupError unless a feature server answers there within `patience` seconds."""
    connection = Connection(host, port)
    try:
        response, _ = connection.request_until(time.monotonic() + patience, "GET", "/health")
        why = "" if response.status == 200 else f"HTTP {response.status}"
    except (OSError, HTTPException) as error:
        why = str(error) or type(error).__name__
    finally:
        connection.close()
    if why:
        raise SetupError(
            f"Feast at {host}:{port} does not answer ({why}): start `feast serve` there, or check FEATURE_SOURCE"
        )


def require_user(source: str, schema: str, user: str) -> None:
    """Raise Unavailable unless the feature server of `source` has a row of this feature schema for `user`."""
    client = FeastClient.of(Settings(feature_source=source, feast_timeout=5.0), schema)
    if client is not None:
        try:
            if client.read([user])[0] is None:
                raise client.problem(f"has no row of {user!r}")
        finally:
            client.close()


def read_users(answer: Any, view: str, count: int) -> list[FeastUser | None]:
    """Read the answer about `count` users; raises an error of Python's own where it is not one about this view."""
    names, results = answer["metadata"]["feature_names"], answer["results"]
    columns = []
    for name in COLUMNS:
        values = results[names.index(f"{view}__{name}")]["values"]
        if len(values) != count:
            raise ValueError(f"{name}: expected {count} values, got {len(values)}")
        columns.append(values)
    return [_user(*values) for values in zip(*columns, strict=True)]


def _user(*values: Any) -> FeastUser | None:
    """Read the columns of one user; the time of the row is what says whether Feast knows him."""
    features, rest = values[: len(FEATURES)], values[len(FEATURES) :]
    region, age, as_of, history, history_at, consumed, consumed_at = rest
    if as_of is None:
        return None
    if not isinstance(region, str) or len(region) not in (0, 2) or not region.isascii():
        raise ValueError(f"{REGION}: expected a two-letter country code or nothing, got {region!r}")
    row = UserRow(_floats(features), _whole(AS_OF, as_of, 0, LATEST), region, _whole(AGE, age, -1, OLDEST))
    if history and len(history) > LONGEST:
        raise ValueError(f"{HISTORY}: expected at most {LONGEST} item ids, got {len(history)}")
    return FeastUser(row, _items(HISTORY, history, history_at), _items(CONSUMED, consumed, consumed_at))


def _floats(values: Sequence[Any]) -> np.ndarray:
    """Feature values, null or "NaN" for a missing one, as float32: (40,)."""
    numbers = [np.nan if value in (None, "NaN") else value for value in values]
    if wrong := [name for name, n in zip(FEATURES, numbers, strict=True) if type(n) not in (int, float)]:
        raise ValueError(f"{wrong[0]}: expected a number or null")
    with np.errstate(over="ignore"):
        row = np.array(numbers, np.float32)
    if np.isinf(row).any():
        raise ValueError(f"{FEATURES[int(np.isinf(row).argmax())]}: expected a finite float32")
    return row


def _items(name: str, ids: Sequence[Any] | None, times: Sequence[Any] | None) -> dict[bytes, int]:
    """Item ids with their times, null where there are none."""
    if not all(isinstance(item, str) for item in ids or ()):
        raise ValueError(f"{name}: expected item ids")
    moments = [_whole(f"{name}_at", moment, 0, LATEST) for moment in times or ()]
    return dict(zip([item.encode() for item in ids or ()], moments, strict=True))


def _whole(name: str, value: Any, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{name}: expected a whole number from {least} to {most}, got {value!r}")
    return value
