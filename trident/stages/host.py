"""What a stage finds around it: the other models, the settings, and the state of users and items."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from trident.contract import ModelContract
from trident.release import Release
from trident.requests import Tensors
from trident.rules import Rules
from trident.rules.never import age_limits
from trident.safety import Safety
from trident.settings import Settings
from trident.state.feast import FeastClient, FeastUser
from trident.state.impressions import Logged
from trident.state.store import UserState, UserStore

Infer = Callable[[ModelContract, Tensors], Tensors]
"""Runs another model of the same release; raises Unavailable when it cannot."""


class Users(Protocol):
    """What the stages ask of the state of users; `UserStore` answers it from Redis."""

    def read(
        self, users: Sequence[str], now: Sequence[int], window: int, requests: Sequence[str] | None = None
    ) -> list[UserState]:
        """What is known of each user at `now` (unix seconds); items shown within `window` seconds count as shown."""

    def cache_embeddings(
        self, users: Sequence[str], histories: Sequence[Sequence[bytes]], embeddings: np.ndarray
    ) -> None:
        """May keep embeddings (n, 128) for later reads."""

    def keep_found(self, users: Sequence[str], found: Sequence[FeastUser], now: Sequence[int]) -> list[UserState]:
        """May keep what Feast said of users; returns what is known of each then."""

    def record_shown(
        self,
        shown: Sequence[tuple[str, int, Sequence[bytes]]],
        window: int,
        most: int,
        requests: Sequence[str] | None = None,
        logged: Sequence[Logged] = (),
    ) -> None:
        """May keep (user, unix second, item ids) as shown for later reads, and what is logged of it."""

    def close(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True)
class Host:
    """Whoever opens stages: the server, or a pipeline in one process.

    With `stand_in` the state of users comes from there and the state of items from the release, and neither Redis nor
    Feast has a say.
    """

    infer: Infer
    settings: Settings = field(default_factory=Settings.from_environment)
    stand_in: Users | None = None
    store: type[UserStore] = UserStore
    card: int | None = None  # number of the NVIDIA card that a stage may use

    @property
    def probes(self) -> bool:
        """Whether searches of requests are checked now and then."""
        return self.stand_in is None and self.settings.recall_probe > 0

    def users(self, release: Release, rules: Rules) -> Users:
        """The state of the users of a release; nothing is asked before the first read."""
        manifest = release.manifest
        return self.stand_in or self.store.connect(
            self.settings, manifest.embedding_space, manifest.feature_schema, rules.consumed_days
        )

    def feast(self, release: Release) -> FeastClient | None:
        """Where rows of users come from that Redis lacks, or None."""
        return None if self.stand_in else FeastClient.of(self.settings, release.manifest.feature_schema)

    def safety(self, release: Release, rules: Rules) -> Safety:
        """The filters over the items of a release, which follow the item changes in Redis."""
        limits = age_limits(rules, release.items)
        return Safety(release.items, limits) if self.stand_in else Safety.live(release, self.settings, limits)
