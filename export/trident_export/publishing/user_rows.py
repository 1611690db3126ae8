"""User rows in Redis while releases come and go: put there, taken back, there still, forgotten.

Rows are named after their feature schema. Releases of one schema share them, and the newest of them overwrites; a
release of another schema brings rows of its own, which are removed with the last release that can read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError, Unavailable
from trident.release import MANIFEST, Manifest
from trident.repository import numbers_in_use
from trident.state.connection import connect
from trident.state.feast import require_user
from trident.state.forget import BATCH, forget_users
from trident.state.keys import key
from trident.state.load import LOADED, load_users
from trident.users import UserRows
from trident_export.publishing.server import Server

SAMPLE = 5
"""So many rows of a release are looked for before it is believed that all are there."""


def schema_of(repository: Path, number: int) -> str:
    """The feature schema of a release, "" when its folder is not whole or of another format."""
    try:
        return Manifest.read(_folder(repository, number) / MANIFEST).feature_schema
    except ReleaseError:
        return ""


def schemas_of(repository: Path, numbers: set[int]) -> set[str]:
    """The feature schemas of releases."""
    return {schema_of(repository, number) for number in numbers} - {""}


def require_in_feast(folder: Path, schema: str, server: Server) -> None:
    """Raise Unavailable unless the rows of a release are where a server that has them from Feast will look."""
    users = UserRows.open(folder / "users")
    try:
        if len(users):
            require_user(server.feature_source, schema, users.ids[len(users) - 1].decode())
    except Unavailable as problem:
        how = "`trident features export`, `feast apply` and `feast materialize` come first"
        raise Unavailable(f"{problem}: {how}") from None


def bring(repository: Path, number: int, server: Server | None) -> None:
    """Put the rows of a release into Redis; raise Unavailable when Redis does not take them."""
    if server and server.rows_in_redis:
        load_users(repository, server.redis_url, number)


def held(server: Server | None) -> str:
    """What Redis says of the rows that it holds, "" for nothing; raise Unavailable when it does not answer."""
    if not server or not server.rows_in_redis:
        return ""
    client = connect(server.redis_url, timeout=5.0)
    try:
        value: Any = client.get(LOADED)
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {type(error).__name__}") from None
    finally:
        client.close()
    return value.decode() if isinstance(value, bytes) else value or ""


def bring_back(repository: Path, number: int, server: Server | None) -> None:
    """Put the rows of a release that served before into Redis, unless rows of its schema are there still.

    A Redis that does not answer is no reason to keep a bad release: the old one then says what is missing.
    """
    if not server or not server.rows_in_redis:
        return
    try:
        if not _there(repository, number, server.redis_url):
            load_users(repository, server.redis_url, number)
    except Unavailable:
        return


def take_back(repository: Path, number: int, schema: str, held: str, server: Server) -> None:
    """Leave in Redis what the other releases read and nothing that only `number` did; `held` is what Redis held then.

    A Redis that does not answer is left as it is: what it holds nobody reads, or it is read as well.
    """
    readers = {n for n in numbers_in_use(repository) - {number} if schema_of(repository, n) == schema}
    try:
        if not readers:
            forget_users(server.redis_url, schema)
        elif load_users(repository, server.redis_url, max(readers)) and _folder(repository, number).is_dir():
            _forget_strangers(repository, number, max(readers), schema, server.redis_url)
        _say_held(held, server.redis_url)
    except (Unavailable, ReleaseError, redis.RedisError, OSError):
        return


def _say_held(held: str, redis_url: str) -> None:
    client = connect(redis_url, timeout=5.0)
    try:
        if held:
            client.set(LOADED, held)
        else:
            client.delete(LOADED)
    finally:
        client.close()


def forget(repository: Path, gone: Path, server: Server | None) -> None:
    """Remove the rows of releases in `gone`, laid out as a repository, that no release of the repository reads."""
    if server and server.rows_in_redis:
        left = schemas_of(repository, numbers_in_use(repository))
        for schema in schemas_of(gone, numbers_in_use(gone)) - left:
            forget_users(server.redis_url, schema)


def _there(repository: Path, number: int, redis_url: str) -> bool:
    users = UserRows.open(_folder(repository, number) / "users")
    schema = schema_of(repository, number)
    rows = range(0, len(users), max(1, len(users) // SAMPLE))
    client = connect(redis_url, timeout=1.0)
    try:
        pipe = client.pipeline(transaction=False)
        for row in rows:
            pipe.exists(key("user_feat", schema, users.ids[row].decode()))
        return all(pipe.execute())
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"Redis does not answer: {type(error).__name__}") from None
    finally:
        client.close()


def _forget_strangers(repository: Path, number: int, before: int, schema: str, redis_url: str) -> None:
    """Remove the rows of users whom only release `number` knows."""
    new, old = (UserRows.open(_folder(repository, n) / "users").ids for n in (number, before))
    known = {old[row] for row in range(len(old))}
    strangers = [new[row].decode() for row in range(len(new)) if new[row] not in known]
    client = connect(redis_url, timeout=5.0)
    try:
        for start in range(0, len(strangers), BATCH):
            pipe = client.pipeline(transaction=False)
            for user in strangers[start : start + BATCH]:
                pipe.unlink(key("user_feat", schema, user))
            pipe.execute()
    finally:
        client.close()


def _folder(repository: Path, number: int) -> Path:
    return repository / USER_ENCODER.name / str(number)
