"""A realistic mix of requests: few users who come often and many who come seldom, devices, hours, strangers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import USER_ENCODER
from trident.errors import InvalidInput, ReleaseError
from trident.release import Release
from trident.repository import serving_release
from trident.users import UserRows
from trident_loadtest.request_profile import ProfileRequest

HOUR, DAY = 3600, 86_400
RECENT = 50  # requests among which a user who returns is looked for


@dataclass(frozen=True)
class Mix:
    """Shares of all requests, except `zipf`: the k-th most active user asks in proportion to k^-zipf.

    `cold` requests find no embedding in the cache: half are by users whom no release knows, half are about another hour
    of the last day. `returning` requests are by a user of one of the 50 requests before.
    """

    zipf: float = 0.8
    cold: float = 0.01
    returning: float = 0.1
    devices: tuple[tuple[str, float], ...] = (
        ("mobile", 0.6), ("desktop", 0.25), ("tablet", 0.07), ("tv", 0.04), ("", 0.04),
    )  # fmt: skip
    abroad: float = 0.1  # with a region of their own; the others are at home
    limits: tuple[tuple[int, float], ...] = ((20, 0.8), (10, 0.15), (50, 0.05))
    unrecorded: float = 0.05


def make_profile(
    users: Sequence[str], regions: Sequence[str], requests: int, seed: int = 1, mix: Mix | None = None
) -> list[ProfileRequest]:
    """`requests` requests of `users`; the same arguments make the same requests."""
    if not users:
        raise InvalidInput("a profile of requests: expected at least one user, got a release without users")
    mix, rng = mix or Mix(), np.random.default_rng(seed)
    who = _users(rng, len(users), requests, mix)
    cold = rng.random(requests) < mix.cold
    stranger = rng.random(requests) < 0.5
    devices = _choices(rng, mix.devices, requests)
    limits = _choices(rng, mix.limits, requests)
    abroad = rng.random(requests) < mix.abroad if regions else np.zeros(requests, bool)
    region = rng.integers(0, max(1, len(regions)), requests)
    record = rng.random(requests) >= mix.unrecorded
    ago = rng.integers(2 * HOUR, DAY, requests)
    return [
        ProfileRequest(
            user_id=f"stranger-{seed}-{i}" if cold[i] and stranger[i] else users[who[i]],
            device=devices[i],
            region=regions[region[i]] if abroad[i] else "",
            limit=limits[i],
            record=bool(record[i]),
            ago=int(ago[i]) if cold[i] and not stranger[i] else 0,
        )
        for i in range(requests)
    ]


def _users(rng: np.random.Generator, users: int, requests: int, mix: Mix) -> np.ndarray:
    """The users of the requests, (requests,) int64: drawn by their rank, and some who come back."""
    weights = np.arange(1, users + 1, dtype=np.float64) ** -mix.zipf
    ranks = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(requests), side="right")
    who = rng.permutation(users)[np.minimum(ranks, users - 1)]
    back = rng.integers(1, RECENT + 1, requests)
    for i in np.flatnonzero(rng.random(requests) < mix.returning):
        who[i] = who[max(0, i - back[i])]
    return who


def _choices(rng: np.random.Generator, shares: Sequence[tuple], requests: int) -> list:
    values, weights = zip(*shares, strict=True)
    chosen = rng.choice(len(values), requests, p=np.array(weights) / sum(weights))
    return [values[i] for i in chosen]


def profile_of(release: Path, requests: int, seed: int = 1, mix: Mix | None = None) -> list[ProfileRequest]:
    """A profile for the users and regions of a release, or of a version folder of `user_encoder`."""
    opened = Release.open(release)
    rows = UserRows.open(opened.folder / "users")
    users = [user.decode() for user in rows.ids.take(np.arange(len(rows)))]
    return make_profile(users, list(opened.manifest.vocabulary.get("regions", ())), requests, seed, mix)


def served_folder(repository: Path) -> Path:
    """The version folder of the serving release that knows its users."""
    number = serving_release(repository)
    if number is None:
        raise ReleaseError(f"the model repository '{repository}' serves no release: `trident publish` puts one there")
    return repository / USER_ENCODER.name / str(number)
