"""float32 values as int32 keys, so that one comparison of whole numbers decides every split.

The bits of a float32 sort like whole numbers once those of negative values are turned around. A missing value is the
largest key, so it goes right where `key > limit` is asked. Where it has to go left, 1 is added to both sides: the
largest key wraps around to the smallest, and nothing else changes sides. A split is therefore

    goes right = key + shift > limit          (in wrapping int32)

with shift 1 for missing values to the left and 0 to the right; `limit` already has it.

A categorical split becomes a column of its own after those of the matrix, which is 1 in the rows that go right.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

MISSING = np.iinfo(np.int32).max
INFINITE = 0x7F800000  # the bits of +inf; only NaN lies above, whatever its sign
TINY = float(np.float32(1e-35))
"""LightGBM reads values up to this size as 0."""


class Categories(NamedTuple):
    """The categorical splits of a forest: which categories of which column go where."""

    column: np.ndarray  # (splits,) int32
    begin: np.ndarray  # (splits,) int64, where its flags begin
    size: np.ndarray  # (splits,) int64 number of flags; categories from there on are in no list
    listed: np.ndarray  # (flags,) bool by category
    listed_right: np.ndarray  # (splits,) bool: listed ones go right, others left; else the other way round
    missing_right: np.ndarray  # (splits,) bool


def limits(thresholds: np.ndarray) -> np.ndarray:
    """Keys of the largest float32 that passes `x <= threshold` in LightGBM, for (n,) float64: (n,) int32."""
    with np.errstate(over="ignore"):
        single = thresholds.astype(np.float32)
    single = np.where(single > thresholds, np.nextafter(single, np.float32(-np.inf)), single)
    below_tiny = np.nextafter(np.float32(-TINY), np.float32(-np.inf))
    single = np.where((thresholds >= -TINY) & (thresholds < 0), below_tiny, single)
    single = np.where((thresholds >= 0) & (thresholds < TINY), np.float32(TINY), single)
    made = np.empty((len(single), 1), np.int32)
    _sort(np.ascontiguousarray(single, np.float32).view(np.int32)[:, None], made)
    return made[:, 0]


def keys(rows: np.ndarray, categories: Categories) -> np.ndarray:
    """Keys of values (n, columns) float32, NaN = missing: (n, columns + splits) int32."""
    rows = np.ascontiguousarray(rows, np.float32)
    made = np.empty((len(rows), rows.shape[1] + len(categories.column)), np.int32)
    _sort(rows.view(np.int32), made)
    if len(categories.column):
        _look_up(rows, *categories, made)
    return made


@numba.njit(cache=True, nogil=True)
def _sort(bits, made):
    for row in range(bits.shape[0]):
        for column in range(bits.shape[1]):
            b = bits[row, column]
            made[row, column] = MISSING if (b & MISSING) > INFINITE else b ^ ((b >> 31) & MISSING)


@numba.njit(cache=True, nogil=True)
def _look_up(rows, column, begin, size, listed, listed_right, missing_right, made):
    for row in range(rows.shape[0]):
        for split in range(len(column)):
            x = rows[row, column[split]]
            if np.isnan(x):
                right = missing_right[split]
            else:  # LightGBM cuts the fraction off, so -0.5 is category 0
                inside = x > -1 and x < size[split] and listed[begin[split] + int(x)]
                right = inside == listed_right[split]
            made[row, rows.shape[1] + split] = right
