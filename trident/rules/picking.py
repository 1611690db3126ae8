"""Picking the items of an answer: pinned ones, new ones as far as they are needed, and the best, within the caps.

Compiled, as it is a dozen calls of numpy over few items otherwise. numba keeps compiled functions on disk until their
own file changes: so what they call is here.
"""

from __future__ import annotations

import numba
import numpy as np

compiled = numba.njit(cache=True, nogil=True)


@compiled
def pick(category, new, caps, turns, pinned, needed, limit):
    """Pick `limit` items, `needed` of them new, of positions that are taken in `turns` (m,), `pinned` (p,) before all.

    `category` (m,) and `new` (m,) bool are of the items, `caps` (c + 1,) is per category code. Where there are too few
    new items within the caps, fewer are enough; where there are too few items within the caps, others fill up.

    Returns the positions (n,) int64 of the picked items, how many of all items are within the cap of their category,
    and whether these are as many as wanted and no rule had to be relaxed.
    """
    turn = _in_turn(pinned, turns)
    within = within_cap(category[turn], caps, len(pinned))
    chosen = turn[choose(within, limit)]
    if new[chosen].sum() < needed:
        turn = _in_turn(np.concatenate((pinned, _reserved(category, new, caps, turns, pinned, needed))), turns)
        within = within_cap(category[turn], caps, len(pinned))
        chosen = turn[choose(within, limit)]
    count = within.sum()
    return chosen, count, count >= limit and new[chosen].sum() >= needed


@compiled
def _reserved(category, new, caps, turns, pinned, needed):
    """The first new items within the caps, as many as are needed beside pinned ones that are new."""
    turn = _in_turn(pinned, turns)
    turn = turn[(np.arange(len(turn)) < len(pinned)) | new[turn]]
    within = within_cap(category[turn], caps, len(pinned))
    missing = max(needed - new[pinned].sum(), 0)
    return turn[len(pinned) :][within[len(pinned) :]][:missing]


@compiled
def _in_turn(first, turns):
    """The positions `turns` (m,), which are 0 to m − 1, with `first` before the others."""
    left = np.ones(len(turns), np.bool_)
    left[first] = False
    return np.concatenate((first, turns[left[turns]]))


@compiled
def within_cap(category, caps, forced):
    """Which of the items (m,), taken in order, are among the first of their category, as many as its cap: (m,) bool.

    `category` (m,) are codes, -1 unknown, and `caps` (c + 1,) has the cap of each, the last for -1. The leading
    `forced` items are in any case.
    """
    taken = np.zeros(len(caps), np.int64)
    within = np.empty(len(category), np.bool_)
    for place in range(len(category)):
        code = category[place]
        taken[code] += 1
        within[place] = place < forced or taken[code] <= caps[code]
    return within


@compiled
def choose(within, limit):
    """Positions of at most `limit` items: those within the cap first, the others only to fill up."""
    kept, over = np.flatnonzero(within), np.flatnonzero(~within)
    return np.concatenate((kept[:limit], over[: max(limit - len(kept), 0)]))
