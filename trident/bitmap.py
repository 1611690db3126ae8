"""A bit per item, lowest bit first, that says whether a viewer may see it.

`bitmap` is (ceil(n / 8),) uint8 everywhere, `rows` (m,) int64 from 0 to n - 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np

compiled = numba.njit(cache=True, nogil=True)


@compiled
def are_set(bitmap, rows):
    """Whether each of `rows` is set: (m,) bool; any answer for -1."""
    found = np.empty(len(rows), np.bool_)
    for place, row in enumerate(rows):
        found[place] = bitmap[row >> 3] >> (row & 7) & 1
    return found


@compiled
def first_set(bitmap, rows, k):
    """Places in `rows`, -1 ignored, of the first `k` that are set: at most k, int64, ascending."""
    found, count = np.empty(min(k, len(rows)), np.int64), 0
    for place, row in enumerate(rows):
        if count == k:
            break
        if row >= 0 and bitmap[row >> 3] >> (row & 7) & 1:
            found[count] = place
            count += 1
    return found[:count]


@compiled
def take_out(bitmap, rows):
    """Clear the bits of `rows`, -1 ignored; those that were set, each once: int64."""
    taken, count = np.empty(len(rows), np.int64), 0
    for row in rows:
        if row >= 0 and bitmap[row >> 3] >> (row & 7) & 1:
            bitmap[row >> 3] ^= np.uint8(1 << (row & 7))
            taken[count] = row
            count += 1
    return taken[:count]


@compiled
def put_in(bitmap, rows):
    """Set the bits of `rows`."""
    for row in rows:
        bitmap[row >> 3] |= np.uint8(1 << (row & 7))


def set_rows(bitmap: np.ndarray) -> np.ndarray:
    """The rows whose bit is set: (m,) int64, ascending."""
    where = np.flatnonzero(bitmap)
    byte, bit = np.nonzero(np.unpackbits(bitmap[where, None], axis=1, bitorder="little"))
    return where[byte] * 8 + bit


@contextmanager
def without(bitmap: np.ndarray, rows: np.ndarray) -> Iterator[int]:
    """Clear the bits of `rows`, -1 ignored, for the time of one search; yields how many were set.

    The kept bitmap is lent to the search and given back, because copying 10 million bits costs more than the search
    of a small catalogue.
    """
    taken = take_out(bitmap, rows)
    try:
        yield len(taken)
    finally:
        put_in(bitmap, taken)
