"""Diversity, freshness, dedup and safety: 500 scored candidates → the items of the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import FUNNEL, degraded_bit, degraded_text
from trident.errors import Unavailable
from trident.release import Release
from trident.rules import DAY, Rules
from trident.safety import Safety
from trident.settings import Settings
from trident.stages.stage import Infer, Tensors
from trident.state.store import UserStore

NO_DEDUP = degraded_bit("dedup_unavailable")


@dataclass(frozen=True)
class Answer:
    """The items of one user, best first, with their boosted scores and the counts of the last funnel steps."""

    rows: np.ndarray
    scores: np.ndarray
    counts: tuple[int, ...]


@dataclass
class BusinessRules:
    """The last stage: what a caller sees."""

    release: Release
    rules: Rules
    safety: Safety
    store: UserStore

    @classmethod
    def open(cls, release: Release, infer: Infer) -> BusinessRules:
        """Read the rules and map the item columns."""
        manifest = release.manifest
        store = UserStore.connect(Settings.from_environment(), manifest.embedding_space, manifest.feature_schema)
        return cls(release, Rules.read(release.folder / "rules.toml"), Safety(release.items), store)

    def __call__(
        self,
        user_id: np.ndarray,
        limit: np.ndarray,
        record: np.ndarray,
        candidate_rows: np.ndarray,
        click_probability: np.ndarray,
        request_time: np.ndarray,
        viewer_region: np.ndarray,
        viewer_age: np.ndarray,
        seen_rows: np.ndarray,
        search_funnel: np.ndarray,
        search_flags: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `business_rules`."""
        users, k = candidate_rows.shape
        probability = click_probability.reshape(users, k)
        answers = [
            self.answer(
                candidate_rows[i],
                probability[i],
                int(limit[i, 0]),
                int(request_time[i, 0]),
                self.safety.passes(np.maximum(candidate_rows[i], 0), int(viewer_region[i, 0]), int(viewer_age[i, 0]))
                & ~np.isin(candidate_rows[i], seen_rows[i]),
            )
            for i in range(users)
        ]
        ids = [self.release.items.ids.take(answer.rows) for answer in answers]
        flags = search_flags | self._record(user_id, record, request_time, ids)
        return self._tensors(answers, ids, int(limit.max()), search_funnel, flags)

    def answer(self, rows: np.ndarray, probability: np.ndarray, limit: int, now: int, allowed: np.ndarray) -> Answer:
        """Apply the rules to one user's candidates: rows (K,), probability (K,), allowed (K,) bool."""
        scored = np.flatnonzero((rows >= 0) & np.isfinite(probability))
        scored = scored[np.lexsort((rows[scored], -probability[scored]))]
        boosted = probability[scored] * freshness(self.release.items.published_at[rows[scored]], now, self.rules)
        pool = min(self.rules.pool_for(limit), len(scored))
        order = np.concatenate([by_score(boosted[:pool]), pool + by_score(boosted[pool:])])
        order = order[allowed[scored[order]]]
        category = self.release.items.category[rows[scored[order]]]
        within = within_cap(category, self.rules.max_per_category)
        chosen = choose(within, limit)
        chosen = chosen[by_score(boosted[order[chosen]])]
        final = order[chosen]
        considered = pool if within[order < pool].sum() >= limit else len(scored)
        passed = order < considered
        diverse = max(int(within[passed].sum()), len(final))  # more than the cap allows, where it was relaxed
        return Answer(
            rows[scored[final]], boosted[final], (len(scored), considered, int(passed.sum()), diverse, len(final))
        )

    def _record(
        self, user_id: np.ndarray, record: np.ndarray, request_time: np.ndarray, ids: list[list[bytes]]
    ) -> np.ndarray:
        wanted = np.flatnonzero(record[:, 0]).tolist()
        flags = np.zeros((len(ids), 1), np.int32)
        shown = [(user_id[i, 0].decode(), int(request_time[i, 0]), ids[i]) for i in wanted]
        try:
            if any(ids[i] for i in wanted):
                self.store.record_shown(shown, self.rules.window, self.rules.max_items)
        except Unavailable:
            flags[wanted] = NO_DEDUP
        return flags

    def _tensors(
        self, answers: list[Answer], ids: list[list[bytes]], width: int, funnel: np.ndarray, flags: np.ndarray
    ) -> Tensors:
        item_id = np.full((len(answers), width), b"", np.object_)
        score = np.full((len(answers), width), np.nan, np.float32)
        counts = np.zeros((len(answers), len(FUNNEL)), np.int32)
        for i, answer in enumerate(answers):
            item_id[i, : len(ids[i])] = ids[i]
            score[i, : len(answer.scores)] = answer.scores
            counts[i] = (*funnel[i], *answer.counts)
        return {
            "item_id": item_id,
            "score": score,
            "release": np.full((len(answers), 1), self.release.manifest.release, np.int64),
            "funnel": counts,
            "degraded": np.array([[degraded_text(int(f))] for f in flags[:, 0]], np.object_),
        }


def freshness(published_at: np.ndarray, now: int, rules: Rules) -> np.ndarray:
    """The factor 1 + strength · e^(−age / days) per item: (m,) float64; 1 where the publication time is unknown (0)."""
    age = np.maximum(now - published_at, 0) / DAY
    return 1 + np.where(published_at == 0, 0.0, rules.strength * np.exp(-age / rules.days))


def by_score(scores: np.ndarray) -> np.ndarray:
    """Positions from the highest score down; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")


def within_cap(categories: np.ndarray, cap: int) -> np.ndarray:
    """Which of the items (m,), taken in order, are among the first `cap` of their category: (m,) bool."""
    order = np.argsort(categories, kind="stable")
    grouped = categories[order]
    place = np.arange(len(order)) - np.searchsorted(grouped, grouped)  # within the category
    within = np.empty(len(order), bool)
    within[order] = place < cap
    return within


def choose(within: np.ndarray, limit: int) -> np.ndarray:
    """Positions of at most `limit` items: those within the cap first, the others only to fill up."""
    kept, over = np.flatnonzero(within), np.flatnonzero(~within)
    return np.concatenate([kept[:limit], over[: max(limit - len(kept), 0)]])
