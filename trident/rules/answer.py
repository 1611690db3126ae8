"""The order of the rules: scored candidates of one user → the items of the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import NO_ITEM
from trident.items import ItemColumns
from trident.rules.boosts import Boosts
from trident.rules.config import Rules
from trident.rules.diversity import category_caps
from trident.rules.freshness import freshness, is_new
from trident.rules.picking import Considered, pick
from trident.rules.pins import Pins, placed
from trident.rules.relevance import marginal_order


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

    def answer(self, rows: np.ndarray, probability: np.ndarray, limit: int, now: int, allowed: np.ndarray) -> Answer:
        """Apply the rules to one user's candidates: rows (K,), -1 pads, probability (K,), allowed (K,) bool.

        Where the best 50 do not fill the answer, all candidates are considered; only then a rule is relaxed.
        """
        if self.boosts:
            probability = probability * self.boost(rows, now)
        best = best_first(rows, probability)
        pool = min(self.rules.pool_for(limit), len(best))
        everything = self._considered(rows[best], probability[best], allowed[best], pool, now)
        pinned, places = self.pins.among(everything.rows, limit, now)
        needed = self.rules.new_needed(limit)

        found = everything.head() if pinned.max(initial=-1) < everything.pool else everything
        turns = self._turns(found, pinned, limit)
        picked = pick(found, turns, pinned, needed, limit)
        if not picked.complete and found is not everything:
            found, turns = everything, np.concatenate([turns, np.arange(everything.pool, len(everything.rows))])
            picked = pick(found, turns, pinned, needed, limit)

        final = self._arranged(found, turns, picked.chosen, pinned, places)
        considered = len(best) if found is everything else pool
        diverse = max(picked.within, len(final))  # more than the cap allows, where it was relaxed
        return Answer(
            found.rows[final], found.score[final], (len(best), considered, len(found.rows), diverse, len(final))
        )

    def boost(self, rows: np.ndarray, now: int) -> np.ndarray:
        """What the scores of `rows` (m,), -1 pads, are multiplied with as boosted ones: (m,) float64."""
        if not self.boosts:
            return np.ones(len(rows))
        return self.boosts.factor(rows, self.items.category[rows], now)

    def _considered(
        self, rows: np.ndarray, probability: np.ndarray, allowed: np.ndarray, pool: int, now: int
    ) -> Considered:
        """Sort candidates (m,), best first, by their score with freshness, the first `pool` before the others.

        What may not be shown is left out.
        """
        published_at = self.items.published_at[rows]
        score = probability * freshness(published_at, now, self.rules)
        order = np.concatenate([by_score(score[:pool]), pool + by_score(score[pool:])])
        order = order[allowed[order]]
        category = self.items.category[rows[order]]
        new = is_new(published_at[order], now, self.rules)
        return Considered(
            rows[order], score[order], category, self.caps[category], new, int(np.count_nonzero(order < pool))
        )

    def _turns(self, found: Considered, pinned: np.ndarray, limit: int) -> np.ndarray:
        """Positions in the order in which they are taken: by score, in the pool by maximal marginal relevance."""
        turns = np.arange(len(found.rows))
        if not self.rules.diversity or not found.pool:
            return turns
        pool = found.head()
        vectors = self.items.vectors[pool.rows]
        taken = pinned[pinned < found.pool]
        turns[: found.pool] = marginal_order(
            pool.score, vectors, pool.category, pool.cap, taken, limit, self.rules.diversity
        )
        return turns

    def _arranged(
        self, found: Considered, turns: np.ndarray, chosen: np.ndarray, pinned: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """The chosen positions as they are shown: by score, or in their turn where that is about difference."""
        others = chosen[~np.isin(chosen, pinned)] if len(pinned) else chosen
        others = turns[np.isin(turns, others)] if self.rules.diversity else others[by_score(found.score[others])]
        return placed(others, pinned, places) if len(pinned) else others


def best_first(rows: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Positions of the candidates with an item and a finite score, best first, smaller rows first among equals.

    Of an item that is there twice, only the better one counts.
    """
    scored = np.flatnonzero((rows != NO_ITEM) & np.isfinite(probability))
    scored = scored[np.argsort(rows[scored])]
    best = scored[by_score(probability[scored])]
    ascending = rows[scored]
    if (ascending[1:] == ascending[:-1]).any():
        best = best[np.sort(np.unique(rows[best], return_index=True)[1])]
    return best


def by_score(scores: np.ndarray) -> np.ndarray:
    """Positions from the highest score down; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")
