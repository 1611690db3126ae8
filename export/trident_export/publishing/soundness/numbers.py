"""Columns of numbers: their shape, and values that can be."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from trident.errors import ReleaseError
from trident.features.registry import Feature
from trident.features.vocabulary import Vocabulary

CHUNK = 1 << 18  # rows that are looked at at once


def chunks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """The first row and the rows of each part of a column, in their order."""
    for start in range(0, len(array), CHUNK):
        yield start, np.asarray(array[start : start + CHUNK])


def require_shape(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    """Raise ReleaseError unless `array` has this shape, where -1 is any length, and dtype."""
    fits = array.ndim == len(shape) and all(e in (-1, a) for e, a in zip(shape, array.shape, strict=True))
    if not fits or array.dtype != dtype:
        raise ReleaseError(f"{name}: expected {shape} of {np.dtype(dtype)}, got {array.shape} of {array.dtype}")


def require_range(name: str, array: np.ndarray, least: float, most: float) -> None:
    """Raise ReleaseError that names the first row with a number out of range or not finite."""
    for start, part in chunks(array):
        wrong = ~((part >= least) & (part <= most))
        if wrong.any():
            row = int(np.argmax(wrong.reshape(len(part), -1).any(axis=1)))
            value = part[row][wrong[row]].ravel()[0] if part.ndim > 1 else part[row]
            raise ReleaseError(f"{name}, row {start + row}: expected {least:g} to {most:g}, got {value}")


def require_bool(name: str, array: np.ndarray) -> None:
    """Raise ReleaseError unless every byte is 0 or 1."""
    require_range(name, array.view(np.uint8), 0, 1)


def require_features(name: str, rows: np.ndarray, features: tuple[Feature, ...], vocabulary: Vocabulary) -> None:
    """Raise ReleaseError unless feature rows are finite, or missing where they may be, and codes in the vocabulary."""
    require_shape(name, rows, (-1, len(features)), np.float32)
    codes = {k: len(vocabulary.values(f.vocabulary)) for k, f in enumerate(features) if f.vocabulary}
    needed = np.array([not np.isnan(f.default) for f in features])
    for start, part in chunks(rows):
        wrong = np.isinf(part) | (np.isnan(part) & needed)
        for column, size in codes.items():
            code = part[:, column]
            with np.errstate(invalid="ignore"):
                wrong[:, column] |= ~np.isnan(code) & ((code < 0) | (code >= size) | (code != np.floor(code)))
        if wrong.any():
            row, column = map(int, np.argwhere(wrong)[0])
            expected = f"a code below {codes[column]}" if column in codes else "a finite number"
            allowed = "" if needed[column] else " or NaN"
            where = f"{name}, row {start + row}, {features[column].name}"
            raise ReleaseError(f"{where}: expected {expected}{allowed}, got {part[row, column]}")
