"""Ranking candidates: numpy sorts, and what it leaves open is compiled, as a request has 500 of them.

numba keeps compiled functions on disk until their own file changes: so what they call is here.
"""

from __future__ import annotations

import numba
import numpy as np

from trident.contract import NO_ITEM

compiled = numba.njit(cache=True, nogil=True)


def best_first(rows: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Positions of the candidates (m,) with an item and a finite score, best first, smaller rows first among equals.

    Of an item that is there twice, only the better one counts.
    """
    rows, probability = np.array(rows, np.int64), np.array(probability, np.float64)
    usable = np.flatnonzero(_usable(rows, probability))
    probability = probability[usable]
    return usable[ranked(probability, probability, rows[usable])]


def ranked(score: np.ndarray, probability: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Positions of m candidates, the highest score first; among equals the higher probability, then the smaller row.

    `score` and `probability` (m,) are float64 without NaN, `rows` (m,) int64.
    """
    return _settled(np.argsort(-score), score, probability, rows)


@compiled
def _settled(order, score, probability, rows):
    """Put positions in order, of which those of equal score may be in the wrong one."""
    for place in range(1, len(order)):
        position = order[place]
        while place and _before(position, order[place - 1], score, probability, rows):
            order[place] = order[place - 1]
            place -= 1
        order[place] = position
    return order


@compiled
def _before(one, other, score, probability, rows):
    if score[one] != score[other]:
        return score[one] > score[other]
    if probability[one] != probability[other]:
        return probability[one] > probability[other]
    return rows[one] < rows[other]


@compiled
def _usable(rows, probability):
    """Which candidates have an item and a finite score, and no better one of the same item beside them."""
    usable = np.zeros(len(rows), np.bool_)
    table = _table(len(rows))
    for position in range(len(rows)):
        if rows[position] == NO_ITEM or not np.isfinite(probability[position]):
            continue
        slot = _slot(rows[position], rows, table)
        best = table[slot]
        if best >= 0:
            if probability[position] <= probability[best]:
                continue
            usable[best] = False
        usable[position] = True
        table[slot] = position
    return usable


@compiled
def is_among(rows, some):
    """Which of `rows` (m,) int64 are among `some` (s,) int64: (m,) bool."""
    table = _table(len(some))
    for position in range(len(some)):
        table[_slot(some[position], some, table)] = position
    among = np.empty(len(rows), np.bool_)
    for position in range(len(rows)):
        among[position] = table[_slot(rows[position], some, table)] >= 0
    return among


@compiled
def _table(count):
    """A hash table for positions of `count` rows, empty: -1."""
    size = 16
    while size < 2 * count:
        size *= 2
    return np.full(size, -1, np.int64)


@compiled
def _slot(row, rows, table):
    """Where the table has the position of `row` among `rows`, or would have it."""
    slot = row & (len(table) - 1)
    while table[slot] >= 0 and rows[table[slot]] != row:
        slot = (slot + 1) & (len(table) - 1)
    return slot
