"""Which rows of a matrix belong together, and what they have in common.

A request has a row per candidate, and the columns of user and context are the same in all of them; Triton stacks the
rows of several requests. The contract says which columns these are. That is only a hint, by which the places are found
where one request ends and the next begins: what counts as equal is compared.
"""

from __future__ import annotations

from collections.abc import Iterator

import numba
import numpy as np

from trident.contract import CONTEXT_FEATURES, FEATURES, ITEM_FEATURES, USER_FEATURES


def shared_columns(columns: int) -> np.ndarray:
    """The columns of user and context in a matrix of so many; none where it is not the matrix of the contract."""
    context = USER_FEATURES + ITEM_FEATURES
    both = [*range(USER_FEATURES), *range(context, context + CONTEXT_FEATURES)]
    return np.array(both if columns == FEATURES else [], np.int64)


def segments(keys: np.ndarray, shared: np.ndarray, least: int) -> Iterator[tuple[int, int, bool]]:
    """Cut rows (n, columns) into pieces (begin, end, is a run).

    A run has at least `least` rows, neighbours that agree in the shared columns; what lies between runs is one piece.
    """
    if not len(keys):
        return
    begins, is_run = _cut(keys, shared, least)
    ends = [*begins[1:].tolist(), len(keys)]
    yield from zip(begins.tolist(), ends, is_run.tolist(), strict=True)


@numba.njit(cache=True, nogil=True, boundscheck=False)
def _cut(keys, shared, least):
    n = len(keys)
    begins, is_run = np.empty(2 * (n // least) + 2, np.int64), np.empty(2 * (n // least) + 2, np.bool_)
    pieces = begin = 0
    for row in range(1, n + 1):
        if row < n:
            differs = 0
            for i in range(len(shared)):
                differs |= keys[row, shared[i]] ^ keys[begin, shared[i]]
            if differs == 0:
                continue
        long = row - begin >= least
        if long or pieces == 0 or is_run[pieces - 1]:
            begins[pieces], is_run[pieces] = begin, long
            pieces += 1
        begin = row
    return begins[:pieces], is_run[:pieces]


@numba.njit(cache=True, nogil=True, boundscheck=False)
def fixed_columns(keys):
    """The columns in which all rows (n, columns) are equal: (columns,) bool."""
    differs = np.zeros(keys.shape[1], np.int32)
    for row in range(1, len(keys)):
        for column in range(keys.shape[1]):
            differs[column] |= keys[row, column] ^ keys[0, column]
    return differs == 0
