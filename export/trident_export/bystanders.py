"""Users of fixed state in place of those in Redis, for asking the stages in one process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trident.contract import NO_ITEM
from trident.release import Release
from trident.rules import Rules
from trident.rules.consumed import consumed_since
from trident.state.feast import FeastUser
from trident.state.impressions import Logged
from trident.state.layout import UserRow
from trident.state.store import UserState
from trident.users import UserRows


@dataclass(frozen=True)
class Bystanders:
    """Users of fixed state by id; nobody learns what they are shown."""

    states: Mapping[str, UserState]

    def read(
        self, users: Sequence[str], now: Sequence[int], window: int, requests: Sequence[str] | None = None
    ) -> list[UserState]:
        """The state of each user, whatever the time."""
        return [self.states.get(user, UserState()) for user in users]

    def cache_embeddings(
        self, users: Sequence[str], histories: Sequence[Sequence[bytes]], embeddings: np.ndarray
    ) -> None:
        """Keep nothing."""

    def keep_found(self, users: Sequence[str], found: Sequence[FeastUser], now: Sequence[int]) -> list[UserState]:
        """Keep nothing."""
        return self.read(users, now, 0)

    def record_shown(
        self,
        shown: Sequence[tuple[str, int, Sequence[bytes]]],
        window: int,
        most: int,
        requests: Sequence[str] | None = None,
        logged: Sequence[Logged] = (),
    ) -> None:
        """Keep nothing."""

    def close(self) -> None:
        """Nothing is open."""


def of_release(release: Release, users: UserRows, rules: Rules, rows: Iterable[int]) -> Bystanders:
    """The users at `rows` as they are in Redis right after the release was loaded: nothing shown yet."""
    return Bystanders({users.ids[row].decode(): _state(release, users, rules, row) for row in rows})


def _state(release: Release, users: UserRows, rules: Rules, row: int) -> UserState:
    as_of, region = release.manifest.as_of, int(users.region[row])
    items, times = users.consumed.of(row)
    home = release.vocabulary.regions[region] if region >= 0 else ""
    return UserState(
        row=UserRow(np.array(users.features[row]), as_of, home, int(users.age[row])),
        history=_ids(release, users.history[row]),
        consumed=_ids(release, items[times >= consumed_since(as_of, rules.consumed_days)]),
    )


def _ids(release: Release, rows: np.ndarray) -> tuple[bytes, ...]:
    return tuple(release.items.ids.take(rows[rows != NO_ITEM]))
