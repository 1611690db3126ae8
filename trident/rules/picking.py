"""Picking the items of an answer: pinned ones, new ones as far as they are needed, and the best, within the caps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.rules.diversity import choose, within_cap


@dataclass(frozen=True)
class Considered:
    """Scored candidates (m,) that may be shown: first those of the pool, best first, then the others, best first."""

    rows: np.ndarray
    score: np.ndarray  # with all boosts
    category: np.ndarray
    cap: np.ndarray  # of the item's category
    new: np.ndarray  # (m,) bool
    pool: int  # how many of them are in the pool

    def head(self) -> Considered:
        """The pool alone."""
        n = self.pool
        return Considered(self.rows[:n], self.score[:n], self.category[:n], self.cap[:n], self.new[:n], n)


@dataclass(frozen=True)
class Picked:
    """Positions (n,) of the items of an answer."""

    chosen: np.ndarray
    within: int  # how many of all items are within the cap of their category
    complete: bool  # as many as wanted, and no rule had to be relaxed


def pick(found: Considered, turns: np.ndarray, pinned: np.ndarray, needed: int, limit: int) -> Picked:
    """Pick `limit` items, `needed` of them new, of positions that are taken in `turns` (m,), `pinned` (p,) before all.

    Where there are too few new items within the caps, fewer are enough; where there are too few items within the caps,
    others fill up.
    """
    turn, within = _in_turn(found, turns, pinned, len(pinned))
    chosen = turn[choose(within, limit)]
    if found.new[chosen].sum() < needed:
        first = np.concatenate([pinned, _reserved(found, turns, pinned, needed)])
        turn, within = _in_turn(found, turns, first, len(pinned))
        chosen = turn[choose(within, limit)]
    count = int(within.sum())
    return Picked(chosen, count, count >= limit and bool(found.new[chosen].sum() >= needed))


def _reserved(found: Considered, turns: np.ndarray, pinned: np.ndarray, needed: int) -> np.ndarray:
    """The first new items within the caps, as many as are needed beside pinned ones that are new."""
    turn, within = _in_turn(found, turns[found.new[turns]], pinned, len(pinned))
    missing = max(needed - int(found.new[pinned].sum()), 0)
    return turn[len(pinned) :][within[len(pinned) :]][:missing]


def _in_turn(found: Considered, turns: np.ndarray, first: np.ndarray, forced: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions with `first` before the others, and which are within the cap so; the leading `forced` in any case."""
    turn = np.concatenate([first, turns[~np.isin(turns, first)]]) if len(first) else turns
    within = within_cap(found.category[turn], found.cap[turn])
    within[:forced] = True
    return turn, within
