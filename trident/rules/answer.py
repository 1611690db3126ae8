"""The order of the rules: scored candidates of one user → the items of the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trident.items import ItemColumns
from trident.rules.boosts import Boosts
from trident.rules.config import Rules
from trident.rules.considered import Considered
from trident.rules.diversity import category_caps
from trident.rules.freshness import freshness, is_new
from trident.rules.picking import pick
from trident.rules.pins import Pins, placed
from trident.rules.ranking import best_first, ranked
from trident.rules.relevance import marginal_order

Allowed = Callable[[np.ndarray], np.ndarray]
"""Which of some rows (m,) may be shown: (m,) bool."""


@dataclass(frozen=True)
class Answer:
    """The items of one user, best first, with their boosted scores and the counts of the last funnel steps."""

    rows: np.ndarray
    scores: np.ndarray
    counts: tuple[int, ...]


@dataclass(frozen=True)
class RuleSet:
    """The rules of a release over its items."""

    rules: Rules
    items: ItemColumns
    caps: np.ndarray  # (c + 1,) per category code, the last for -1
    boosts: Boosts | None
    pins: Pins

    @classmethod
    def over(cls, rules: Rules, items: ItemColumns) -> RuleSet:
        """Find the names of `rules` among `items`."""
        return cls(rules, items, category_caps(rules, items.categories), Boosts.of(rules, items), Pins.of(rules, items))

    def answer(self, rows: np.ndarray, probability: np.ndarray, limit: int, now: int, allowed: Allowed) -> Answer:
        """Apply the rules to one user's candidates: rows (K,) int64, -1 pads, probability (K,).

        Where the best 50 do not fill the answer, all candidates are considered; only then a rule is relaxed.
        """
        if self.boosts:
            probability = probability * self.boost(rows, now)
        best = best_first(rows, probability)
        rows, probability = rows[best], probability[best].astype(np.float64)
        pool = min(self.rules.pool_for(limit), len(best))
        needed = self.rules.new_needed(limit)

        def others() -> Considered:
            return self._considered(rows[pool:], probability[pool:], now, allowed)

        found = head = self._considered(rows[:pool], probability[:pool], now, allowed)
        if self._is_pinned(rows[pool:], limit, now, allowed):
            found = head.and_then(others())
        pinned, places = self.pins.among(found.rows, limit, now)
        turns = self._turns(found, pinned, limit)
        chosen, within, complete = pick(found.category, found.new, self.caps, turns, pinned, needed, limit)
        if not complete and found is head and pool < len(rows):
            found = head.and_then(others())
            turns = np.concatenate((turns, np.arange(found.pool, len(found.rows))))
            chosen, within, complete = pick(found.category, found.new, self.caps, turns, pinned, needed, limit)

        final = self._arranged(found, turns, chosen, pinned, places)
        considered = pool if found is head else len(rows)
        diverse = max(int(within), len(final))  # more than the cap allows, where it was relaxed
        return Answer(
            found.rows[final], found.score[final], (len(rows), considered, len(found.rows), diverse, len(final))
        )

    def boost(self, rows: np.ndarray, now: int) -> np.ndarray:
        """What the scores of `rows` (m,), -1 pads, are multiplied with as boosted ones: (m,) float64."""
        if not self.boosts:
            return np.ones(len(rows))
        return self.boosts.factor(rows, self.items.category[rows], now)

    def _considered(self, rows: np.ndarray, probability: np.ndarray, now: int, allowed: Allowed) -> Considered:
        """Sort candidates (m,) by their score with freshness; what may not be shown is left out."""
        kept = allowed(rows)
        if not kept.all():
            rows, probability = rows[kept], probability[kept]
        published_at = self.items.published_at[rows]
        score = probability * freshness(published_at, now, self.rules)
        order = ranked(score, probability, rows)
        rows = rows[order]
        new = is_new(published_at[order], now, self.rules) if self.rules.new_share else np.zeros(len(rows), bool)
        return Considered(rows, score[order], self.items.category[rows], new, len(rows))

    def _is_pinned(self, rows: np.ndarray, limit: int, now: int, allowed: Allowed) -> bool:
        """Whether any of the candidates `rows` (m,) has a place of its own, and may be shown."""
        pinned, _ = self.pins.among(rows, limit, now)
        return bool(len(pinned) and allowed(rows[pinned]).any())

    def _turns(self, found: Considered, pinned: np.ndarray, limit: int) -> np.ndarray:
        """Positions in the order in which they are taken: by score, in the pool by maximal marginal relevance."""
        turns = np.arange(len(found.rows))
        n = found.pool
        if not self.rules.diversity or not n:
            return turns
        vectors, category = self.items.vectors[found.rows[:n]], found.category[:n]
        taken = pinned[pinned < n]
        turns[:n] = marginal_order(
            found.score[:n], vectors, category, self.caps[category], taken, limit, self.rules.diversity
        )
        return turns

    def _arranged(
        self, found: Considered, turns: np.ndarray, chosen: np.ndarray, pinned: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """The chosen positions as they are shown: by score, or in their turn where that is about difference."""
        others = chosen[~np.isin(chosen, pinned)] if len(pinned) else chosen
        others = turns[np.isin(turns, others)] if self.rules.diversity else others[by_score(found.score[others])]
        return placed(others, pinned, places) if len(pinned) else others


def by_score(scores: np.ndarray) -> np.ndarray:
    """Positions from the highest score down; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")
