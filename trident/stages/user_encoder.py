"""User state from Redis, or rows from Feast; on a cache miss features and taste → user tower → cached embedding."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from trident.contract import EMBEDDING_DIM, NO_ITEM, UNLISTED_REGION, USER_TOWER, degraded_bit
from trident.errors import Unavailable
from trident.features.clock import advance
from trident.features.context import context_rows
from trident.release import Release
from trident.rules import Rules
from trident.stages.counted import count_states
from trident.stages.host import Host, Infer, Users
from trident.stages.stage import Tensors
from trident.state.feast import FeastClient
from trident.state.layout import EMBEDDING_TTL, UserRow
from trident.state.store import UserState
from trident.taste import pool
from trident.users import read_default


@dataclass
class UserEncoder:
    """Everything the later stages need to know about who asks, and from where and when."""

    release: Release
    store: Users
    infer: Infer
    default: UserRow
    rules: Rules
    feast: FeastClient | None  # None: the rows of all users lie in Redis

    @classmethod
    def open(cls, release: Release, host: Host) -> UserEncoder:
        """Open the item vectors and the default row; neither Redis nor Feast is asked before the first request."""
        default = UserRow(read_default(release.folder / "users" / "default.npy"), release.manifest.as_of)
        rules = Rules.read(release.folder / "rules.toml")
        release.items.rows([b""])  # compiles
        return cls(release, host.users(release, rules), host.infer, default, rules, host.feast(release))

    def close(self) -> None:
        """Let go of the connections."""
        self.store.close()
        if self.feast:
            self.feast.close()

    def __call__(
        self,
        user_id: np.ndarray,
        device: np.ndarray,
        region: np.ndarray,
        timestamp: np.ndarray,
        request_id: np.ndarray | None = None,
        ticket: np.ndarray | None = None,
        **later: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `user_encoder`; `later` is for the last stage, checked early.

        What was answered before under the same `request_id` (B,) is answered again, as of the same time.
        """
        users = [u.decode() for u in user_id[:, 0]]
        now = np.where(timestamp[:, 0] > 0, timestamp[:, 0], int(time.time()))
        states, flags = self._states(users, now, request_id)
        count_states(states)
        before = np.array([state.answered_at or 0 for state in states])
        now = np.where((timestamp[:, 0] == 0) & (before > 0), before, now)
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
            "seen_rows": self._seen(shown, history, states),
            "state_flags": flags[:, None],
            "encoder_release": np.full((len(users), 1), self.release.manifest.release, np.int64),
            "ticket": np.zeros((len(users), 1), np.int64) if ticket is None else ticket,
        }

    def _seen(self, shown: np.ndarray, history: np.ndarray, states: Sequence[UserState]) -> np.ndarray:
        """Item rows (B, S) that the rules leave out: shown lately, and as they say of the history and consumed."""
        parts = [shown]
        if self.rules.hide_history:
            parts.append(history)
        if self.rules.consumed_events:
            parts.append(self._item_rows([state.consumed for state in states]))
        return np.concatenate(parts, axis=1)

    def _states(
        self, users: Sequence[str], now: np.ndarray, request_id: np.ndarray | None
    ) -> tuple[list[UserState], np.ndarray]:
        flags = np.zeros(len(users), np.int32)
        named = () if request_id is None else (request_id.tolist(),)
        try:
            states = self.store.read(users, now.tolist(), self.rules.window, *named)
        except Unavailable:
            flags |= degraded_bit("user_state_unavailable") | degraded_bit("dedup_unavailable")
            return [UserState()] * len(users), flags
        stranger = "cold_start" if self._fill_from_feast(users, now, states) else "user_state_unavailable"
        for i, state in enumerate(states):
            flags[i] |= degraded_bit("embedding_recomputed") * state.embedding_refused
            if state.unavailable:
                flags[i] |= degraded_bit("user_state_unavailable")
            elif state.row is None:
                flags[i] |= degraded_bit(stranger)
            flags[i] |= degraded_bit("dedup_unavailable") * state.shown_unknown
        return states, flags

    def _fill_from_feast(self, users: Sequence[str], now: np.ndarray, states: list[UserState]) -> bool:
        """Replace in `states` what Feast knows of users without embedding or row; False when it does not answer.

        A user of whom Redis does not tell is not asked for: Feast would have to bear every request instead of one an
        hour.
        """
        lacking = [not state.unavailable and (state.embedding is None or state.row is None) for state in states]
        missing = np.flatnonzero(lacking).tolist()
        if self.feast is None or not missing:
            return True
        try:
            found = dict(zip(missing, self.feast.read([users[i] for i in missing]), strict=True))
        except Unavailable:
            return False
        known = {i: user for i, user in found.items() if user}
        kept = self.store.keep_found([users[i] for i in known], list(known.values()), now[list(known)].tolist())
        for i in missing:
            states[i] = replace(states[i], row=None, embedding=None)
        for i, new in zip(known, kept, strict=True):
            lists = {} if new.unavailable else {"history": new.history, "consumed": new.consumed}
            states[i] = replace(states[i], row=known[i].row, **lists)
        return True

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
        taste = pool(history, self.release.items.stored_vectors)
        try:
            return self.infer(USER_TOWER, {"user_features": features, "taste": taste})["user_embedding"]
        except Unavailable:
            return np.full((len(taste), EMBEDDING_DIM), np.nan, np.float32)  # the search answers with what is popular

    def _cache(
        self, users: Sequence[str], states: Sequence[UserState], embeddings: np.ndarray, rows: np.ndarray
    ) -> None:
        known = [i for i in rows.tolist() if states[i].row is not None and np.isfinite(embeddings[i]).all()]
        if known:
            histories = [states[i].history for i in known]
            self.store.cache_embeddings([users[i] for i in known], histories, embeddings[known])

    def _item_rows(self, ids: Sequence[Sequence[bytes]]) -> np.ndarray:
        rows = np.full((len(ids), max(1, *map(len, ids))), NO_ITEM, np.int64)
        for i, names in enumerate(ids):
            rows[i, : len(names)] = self.release.items.rows(names)
        return rows
