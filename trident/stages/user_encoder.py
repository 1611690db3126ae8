"""User state from Redis; on a cache miss features and taste → user tower → cached embedding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trident.contract import EMBEDDING_DIM, NO_ITEM, UNLISTED_REGION, USER_TOWER, degraded_bit
from trident.errors import Unavailable
from trident.features.clock import advance
from trident.features.context import context_rows
from trident.release import Release
from trident.rules import Rules
from trident.settings import Settings
from trident.stages.stage import Infer, Tensors
from trident.state.layout import EMBEDDING_TTL, UserRow
from trident.state.store import UserState, UserStore
from trident.taste import pool
from trident.users import read_default


@dataclass
class UserEncoder:
    """Everything the later stages need to know about who asks, and from where and when."""

    release: Release
    store: UserStore
    infer: Infer
    default: UserRow
    rules: Rules

    @classmethod
    def open(cls, release: Release, infer: Infer) -> UserEncoder:
        """Open the item vectors and the default row; Redis is not asked before the first request."""
        manifest = release.manifest
        store = UserStore.connect(Settings.from_environment(), manifest.embedding_space, manifest.feature_schema)
        default = UserRow(read_default(release.folder / "users" / "default.npy"), manifest.as_of)
        return cls(release, store, infer, default, Rules.read(release.folder / "rules.toml"))

    def __call__(
        self, user_id: np.ndarray, device: np.ndarray, region: np.ndarray, timestamp: np.ndarray, **later: np.ndarray
    ) -> Tensors:
        """Inputs and outputs as in the contract of `user_encoder`; `later` is for the last stage, checked early."""
        users = [u.decode() for u in user_id[:, 0]]
        now = np.where(timestamp[:, 0] > 0, timestamp[:, 0], int(time.time()))
        states, flags = self._states(users, now)
        history = self._item_rows([state.history for state in states])
        shown = self._item_rows([state.shown for state in states])
        rows = [state.row or self.default for state in states]
        features = self._features(rows, now)
        home = self._region_codes([row.region for row in rows])
        here = np.where(region[:, 0] == b"", home, self._region_codes([r.decode() for r in region[:, 0]]))
        return {
            "user_embedding": self._embeddings(users, now, states, features, history),
            "user_features": features,
            "context_features": context_rows(now, [d.decode() for d in device[:, 0]], here, home),
            "request_time": now[:, None],
            "viewer_region": here.astype(np.int32)[:, None],
            "viewer_age": np.array([[row.age] for row in rows], np.int32),
            "seen_rows": np.concatenate([shown, history], axis=1) if self.rules.hide_history else shown,
            "state_flags": flags[:, None],
        }

    def _states(self, users: Sequence[str], now: np.ndarray) -> tuple[list[UserState], np.ndarray]:
        flags = np.zeros(len(users), np.int32)
        try:
            states = self.store.read(users, now.tolist(), self.rules.window)
        except Unavailable:
            flags |= degraded_bit("user_state_unavailable") | degraded_bit("dedup_unavailable")
            return [UserState()] * len(users), flags
        for i, state in enumerate(states):
            flags[i] |= degraded_bit("embedding_recomputed") * state.embedding_refused
            flags[i] |= degraded_bit("cold_start") * (state.row is None)
        return states, flags

    def _features(self, rows: Sequence[UserRow], now: np.ndarray) -> np.ndarray:
        as_of = np.array([row.as_of for row in rows], np.int64)
        return advance(np.stack([row.features for row in rows]), "user", now - as_of)

    def _region_codes(self, regions: Sequence[str]) -> np.ndarray:
        codes = [self.release.vocabulary.code("regions", region) for region in regions]
        where = [UNLISTED_REGION if code < 0 and region else code for code, region in zip(codes, regions, strict=True)]
        return np.array(where, np.int32)

    def _embeddings(
        self,
        users: Sequence[str],
        now: np.ndarray,
        states: Sequence[UserState],
        features: np.ndarray,
        history: np.ndarray,
    ) -> np.ndarray:
        """Cached embeddings where they hold, computed ones elsewhere: (B, 128), NaN where the tower does not answer.

        An embedding is cached for requests of the present: one asked for another time depends on that time.
        """
        embeddings = np.full((len(users), EMBEDDING_DIM), np.nan, np.float32)
        present = np.abs(now - time.time()) < EMBEDDING_TTL
        cached = [bool(present[i]) and state.embedding is not None for i, state in enumerate(states)]
        for i in np.flatnonzero(cached):
            embeddings[i] = states[i].embedding
        missing = np.flatnonzero(np.logical_not(cached))
        if len(missing):
            embeddings[missing] = self._compute(features[missing], history[missing])
            self._cache(users, states, embeddings, missing[present[missing]])
        return embeddings

    def _compute(self, features: np.ndarray, history: np.ndarray) -> np.ndarray:
        taste = pool(history, self.release.items.vectors)
        try:
            return self.infer(USER_TOWER, {"user_features": features, "taste": taste})["user_embedding"]
        except Unavailable:
            return np.full((len(taste), EMBEDDING_DIM), np.nan, np.float32)  # the search answers with what is popular

    def _cache(
        self, users: Sequence[str], states: Sequence[UserState], embeddings: np.ndarray, rows: np.ndarray
    ) -> None:
        known = [i for i in rows.tolist() if states[i].row is not None and np.isfinite(embeddings[i]).all()]
        if known:
            self.store.cache_embeddings([users[i] for i in known], embeddings[known])

    def _item_rows(self, ids: Sequence[Sequence[bytes]]) -> np.ndarray:
        rows = np.full((len(ids), max(1, *map(len, ids))), NO_ITEM, np.int64)
        for i, names in enumerate(ids):
            rows[i, : len(names)] = self.release.items.rows(names)
        return rows
