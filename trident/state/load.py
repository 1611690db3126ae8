"""Loading the user rows of a release into Redis: packed, pipelined, once per release, and on from where it stopped.

One key says what Redis holds: the release's mark alone when all of its rows are there, else the mark and how many are.
Of two releases that were pushed in turn, each of them in part, none is taken for whole. A user's history is merged with
what feedback has added since the release's data ended.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import redis

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError, Unavailable
from trident.release import Manifest, Release
from trident.repository import serving_release
from trident.state.connection import connect
from trident.state.consumed import add_consumed
from trident.state.history import add_taste
from trident.state.keys import key
from trident.state.layout import UserRow, pack_row
from trident.users import UserRows

BATCH = 2_000
LOADED = "user_rows_loaded"
Watcher = Callable[[int, int], object]
"""Told after each batch: rows that Redis holds now, rows of the release."""


def load_users(repository: Path, redis_url: str, number: int | None = None, on_progress: Watcher | None = None) -> int:
    """Write the user rows of release `number`, by default the one that serves; return how many were written.

    Rows that this Redis already holds from the same release are not written again.
    Raises Unavailable when Redis does not answer, ReleaseError when the repository has no release.
    """
    number = number or serving_release(repository)
    if number is None:
        raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
    release = Release.open(repository / USER_ENCODER.name / str(number))
    return push_users(UserRows.open(release.folder / "users"), release, redis_url, on_progress)


def push_users(users: UserRows, release: Release, redis_url: str, on_progress: Watcher | None = None) -> int:
    """Write `users` with the schema and item ids of `release` to Redis; return how many were written."""
    client, mark = connect(redis_url, timeout=5.0), _mark(release.manifest)
    try:
        first = _held(client.get(LOADED), mark, len(users))
        for start in range(first, len(users), BATCH):
            rows = range(start, min(start + BATCH, len(users)))
            if start == first:
                client.set(LOADED, f"{mark} {start}")  # before the first row of another release is overwritten
            _write(client, users, release, rows)
            client.set(LOADED, f"{mark} {rows.stop}")
            if on_progress:
                on_progress(rows.stop, len(users))
        client.set(LOADED, mark)
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"Redis does not take the user rows: {type(error).__name__}: {error}") from None
    finally:
        client.close()
    return len(users) - first


def _mark(manifest: Manifest) -> str:
    return f"{manifest.feature_schema}:{manifest.embedding_space}:{manifest.created}"


def _held(value: bytes | str | None, mark: str, rows: int) -> int:
    """How many of a release's rows, from the first on, Redis holds by the value of LOADED."""
    text = value.decode() if isinstance(value, bytes) else value or ""
    found, _, held = text.partition(" ")
    if found != mark:
        return 0
    return min(int(held), rows) if held else rows


def _write(client: redis.Redis, users: UserRows, release: Release, rows: range) -> None:
    manifest, regions = release.manifest, release.vocabulary.regions
    pipe = client.pipeline(transaction=False)
    for row in rows:
        user = users.ids[row].decode()
        code = int(users.region[row])
        region = regions[code] if 0 <= code < len(regions) else ""
        value = UserRow(users.features[row], manifest.as_of, region, int(users.age[row]))
        pipe.set(key("user_feat", manifest.feature_schema, user), pack_row(value, manifest.feature_schema))
        pipe.delete(key("user_emb", manifest.embedding_space, user))
        known = users.history[row] >= 0
        if known.any():
            items = release.items.ids.take(users.history[row][known])
            add_taste(pipe, user, dict(zip(items, users.history_at[row][known].tolist(), strict=True)))
        consumed, times = users.consumed.of(row)
        if len(consumed):
            add_consumed(pipe, user, dict(zip(release.items.ids.take(consumed), times.tolist(), strict=True)))
    pipe.execute()
