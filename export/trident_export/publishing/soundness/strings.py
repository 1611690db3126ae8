"""Columns of strings: offsets that lead through all bytes, text in UTF-8, ids that a request can name."""

from __future__ import annotations

import numpy as np

from trident.contract import ID
from trident.errors import ReleaseError
from trident.strings import StringColumn

SHOWN = 40  # bytes of a bad string


def require_strings(name: str, column: StringColumn, rows: int) -> None:
    """Raise ReleaseError unless `column` holds `rows` strings of UTF-8; `name` stands in the text."""
    offsets, data = column.offsets, column.data
    for part, array, dtype in (("offsets", offsets, np.int64), ("bytes", data, np.uint8)):
        if array.ndim != 1 or array.dtype != dtype:
            expected = f"one axis of {np.dtype(dtype)}"
            raise ReleaseError(f"{name}.{part}: expected {expected}, got {array.shape} of {array.dtype}")
    if len(offsets) != rows + 1:
        raise ReleaseError(f"{name}: expected {rows} strings, got {len(offsets) - 1}")
    if offsets[0] != 0 or offsets[-1] != len(data) or (np.diff(offsets) < 0).any():
        raise ReleaseError(f"{name}.offsets: expected to rise from 0 to {len(data)}, got others")
    _require_utf8(name, column)


def _require_utf8(name: str, column: StringColumn) -> None:
    """All bytes are one UTF-8 text, and no string begins within a character of it."""
    data = column.data
    try:
        str(np.ascontiguousarray(data).data, "utf-8")
        bad = -1
    except UnicodeDecodeError as error:
        bad = int(np.searchsorted(column.offsets, error.start, side="right")) - 1
    if bad < 0 and len(data):
        starts = column.offsets[:-1]
        inside = (data[np.minimum(starts, len(data) - 1)] & 0xC0) == 0x80
        bad = int(np.argmax(inside & (starts < len(data)))) if (inside & (starts < len(data))).any() else -1
    if bad >= 0:
        raise ReleaseError(f"{name}, row {bad}: expected UTF-8, got {column[bad][:SHOWN]!r}")


def require_ids(name: str, column: StringColumn, rows: int) -> None:
    """Raise ReleaseError unless `column` holds `rows` different ids that a request can name."""
    require_strings(name, column, rows)
    offsets, data = column.offsets, column.data
    lengths = np.diff(offsets)
    wrong = (lengths < ID.least) | (lengths > ID.most)
    control = (data < 0x20) | (data == 0x7F)
    control[1:] |= (data[:-1] == 0xC2) & (data[1:] >= 0x80) & (data[1:] < 0xA0)
    held = np.searchsorted(offsets, np.flatnonzero(control), side="right") - 1
    wrong[held] = True
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ReleaseError(f"{name}, row {row}: expected {ID.expected()}, got {column[row][:SHOWN]!r}")
    _require_different(name, column, lengths)


def _require_different(name: str, column: StringColumn, lengths: np.ndarray) -> None:
    for length in np.unique(lengths).tolist():
        rows = np.flatnonzero(lengths == length)
        keys = _keys(column.data, column.offsets[rows], length)
        order = np.lexsort(keys[::-1])
        same = np.ones(len(rows) - 1, bool)
        for key in keys:
            same &= key[order[1:]] == key[order[:-1]]
        if same.any():
            twins = sorted(rows[order[int(np.argmax(same)) :][:2]].tolist())
            text = f"{column[twins[0]][:SHOWN]!r} in row {twins[0]} and in row {twins[1]}"
            raise ReleaseError(f"{name}: expected different ids, got {text}")


def _keys(data: np.ndarray, starts: np.ndarray, length: int) -> list[np.ndarray]:
    """Strings of one length as numbers of 8 bytes each, the first bytes first: (m,) uint64 per 8 bytes."""
    keys = []
    for first in range(0, length, 8):
        key = np.zeros(len(starts), np.uint64)
        for place in range(first, min(first + 8, length)):
            key = (key << np.uint64(8)) | data[starts + place]
        keys.append(key)
    return keys
