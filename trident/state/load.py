"""Loading the user rows of a release into Redis: packed, pipelined, and once per release."""

from __future__ import annotations

from pathlib import Path

import redis

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError, Unavailable
from trident.release import Release
from trident.repository import serving_release
from trident.state.layout import UserRow, pack_row
from trident.state.store import connect
from trident.users import UserRows

BATCH = 2_000
LOADED = "user_rows_loaded"


def load_users(repository: Path, redis_url: str, number: int | None = None) -> int:
    """Write the user rows of release `number`, by default the one that serves; return how many were written.

    Rows that this Redis already holds from the same release are not written again.
    Raises Unavailable when Redis does not answer, ReleaseError when the repository has no release.
    """
    number = number or serving_release(repository)
    if number is None:
        raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
    release = Release.open(repository / USER_ENCODER.name / str(number))
    return push_users(UserRows.open(release.folder / "users"), release, redis_url)


def push_users(users: UserRows, release: Release, redis_url: str) -> int:
    """Write `users` with the schema and item ids of `release` to Redis; return how many were written."""
    client = connect(redis_url, timeout=5.0)
    mark = f"{release.manifest.feature_schema}:{release.manifest.embedding_space}:{release.manifest.created}"
    try:
        if client.get(LOADED) == mark.encode():
            return 0
        for start in range(0, len(users), BATCH):
            _write(client, users, release, range(start, min(start + BATCH, len(users))))
        client.set(LOADED, mark)
    except (redis.RedisError, OSError) as error:
        raise Unavailable(f"Redis does not take the user rows: {type(error).__name__}: {error}") from None
    return len(users)


def _write(client: redis.Redis, users: UserRows, release: Release, rows: range) -> None:
    manifest, regions = release.manifest, release.vocabulary.regions
    pipe = client.pipeline(transaction=False)
    for row in rows:
        user = users.ids[row].decode()
        code = int(users.region[row])
        region = regions[code] if 0 <= code < len(regions) else ""
        value = UserRow(users.features[row], manifest.as_of, region, int(users.age[row]))
        pipe.set(f"user_feat:{user}", pack_row(value, manifest.feature_schema))
        history = users.history[row]
        pipe.delete(f"user_history:{user}", f"user_emb:{manifest.embedding_space}:{user}")
        if (known := history[history >= 0]).size:
            pipe.rpush(f"user_history:{user}", *release.items.ids.take(known))
    pipe.execute()
