"""Item columns and user rows with numbers, ids and shapes that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import numpy as np

from damages.making import Change, Damage, put, sealed, write
from trident.features.registry import place

COUNT = place("item_views")
"""A column of items/features that is never missing."""
RANGE, FINITE, FOUND = "a number out of range", "NaN or infinite numbers in columns", "ids that cannot be found"
LAST = -1
NUMBERS = (
    ("items/features", (3, 20), np.inf, FINITE),
    ("items/features", (0, COUNT), np.nan, FINITE),
    ("items/features", (LAST, 0), 1e9, RANGE),
    ("items/vectors", (0, 0), np.nan, FINITE),
    ("items/vectors", (LAST, 127), np.inf, FINITE),
    ("users/features", (0, 5), np.nan, FINITE),
    ("users/features", (LAST, 30), -np.inf, FINITE),
    ("users/features", (1, 2), 4_000.0, RANGE),
    ("users/default", (5,), np.nan, FINITE),
    ("items/category", (5,), 99, RANGE),
    ("items/category", (5,), -2, RANGE),
    ("items/popular", (0, 0), 10**6, RANGE),
    ("items/popular", (1, 3), -7, RANGE),
    ("items/published_at", (2,), 2**62, RANGE),
    ("items/blocked", (4, 0), 2**63, RANGE),
    ("items/id_row", (0,), 10**6, RANGE),
    ("users/history", (0, 0), 10**6, RANGE),
    ("users/history", (0, 1), -9, RANGE),
    ("users/history_at", (0, 0), -1, RANGE),
    ("users/region", (0,), 500, RANGE),
    ("users/age", (0,), 400, RANGE),
    ("users/consumed_ends", (0,), -4, RANGE),
    ("users/consumed_items", (0,), 10**6, RANGE),
    ("items/id_hash", (0,), 2**64 - 1, FOUND),
    ("items/ids.offsets", (1,), 10**9, FOUND),
    ("items/titles.offsets", (5,), -3, FOUND),
    ("users/ids.offsets", (1,), 10**6, FOUND),
)
"""Column, place, what is written there, and what kind of damage that is."""
SHAPED = ("items/features", "items/vectors", "items/category", "items/in_stock", "users/features", "users/history")
NOT_UTF8 = {"cut within a letter": b"\xc3", "a lone surrogate": b"\xed\xa0\x80", "latin-1": b"\xe9t\xe9"}
NOT_NAMED = {"empty": b"", "a line break": b"a\nb", "129 bytes": b"x" * 129, "C1": "a\x85".encode()}
TEXT = "an id or title that is not UTF-8"


def columns(good: Path) -> Iterator[Damage]:
    """Numbers, shapes, types and ids."""
    for file, where, value, kind in NUMBERS:
        yield Damage(kind, f"{file} {list(where)} = {value}", _number(file, where, value), file.partition(".")[0])
    yield Damage(RANGE, "in_stock of 7", _bytes_of("items/in_stock", 7), "items/in_stock, row 0")
    yield Damage(FOUND, "two rows of one hash", _array("items/id_row", _twice), "items/id_row")
    kind = "a column of another shape or type"
    for file in SHAPED:
        yield Damage(kind, f"{file}, a row less", _array(file, lambda a: a[:-1]), "expected")
        yield Damage(kind, f"{file}, of float64", _array(file, lambda a: a.astype(np.float64)), "expected")
        yield Damage(kind, f"{file}, an axis more", _array(file, lambda a: a[..., None]), "expected")
        yield Damage(kind, f"{file}, of Python objects", _pickled(file), f"{file}.npy cannot be read")
    yield from _texts(good)


def _texts(good: Path) -> Iterator[Damage]:
    for column in ("items/ids", "users/ids", "items/titles", "items/categories"):
        for name, row in (("first", 0), ("last", LAST)):
            change = _text(column, row, lambda old: b"\xff" + old[1:])
            yield Damage(TEXT, f"{name} of {column}", change, f"{column}, row .*expected UTF-8")
    for column in ("items/ids", "users/ids"):
        for name, new in NOT_UTF8.items():
            about = f"{column}, row 3.*expected UTF-8"
            yield Damage(TEXT, f"{name} in {column}", _text(column, 3, _always(new)), about)
        for name, new in NOT_NAMED.items():
            about = f"{column}, row 3: expected 1 to"
            yield Damage("an id that no request can name", f"{name} in {column}", _text(column, 3, _always(new)), about)
        change = _text(column, 3, _always(_strings(good / column)[0]))
        yield Damage("an id twice", column, change, f"{column}: expected different ids")


def _always(text: bytes) -> Callable[[bytes], bytes]:
    return lambda _: text


def _array(file: str, edit: Callable[[np.ndarray], np.ndarray]) -> Change:
    def change(folder: Path) -> None:
        path = folder / f"{file}.npy"
        array = edit(np.load(path))
        path.unlink()
        np.save(path, np.ascontiguousarray(array))

    return sealed(change)


def _number(file: str, where: tuple[int, ...], value: float) -> Change:
    def edit(array: np.ndarray) -> np.ndarray:
        array[where] = value
        return array

    return _array(file, edit)


def _twice(rows: np.ndarray) -> np.ndarray:
    rows[1] = rows[0]
    return rows


def _pickled(file: str) -> Change:
    out = BytesIO()
    np.save(out, np.array([{"a": 1}], object), allow_pickle=True)
    return sealed(write(f"{file}.npy", out.getvalue()))


def _bytes_of(file: str, value: int) -> Change:
    def change(folder: Path) -> None:
        content = bytearray((folder / f"{file}.npy").read_bytes())
        content[128] = value
        put(folder / f"{file}.npy", bytes(content))

    return sealed(change)


def _strings(column: Path) -> list[bytes]:
    offsets, data = (np.load(column.with_name(f"{column.name}.{part}.npy")) for part in ("offsets", "bytes"))
    return [data[a:b].tobytes() for a, b in pairwise(offsets)]


def _text(column: str, row: int, edit: Callable[[bytes], bytes]) -> Change:
    """Another string in a row, and with it the hashes of item ids."""

    def change(folder: Path) -> None:
        texts = _strings(folder / column)
        texts[row] = edit(texts[row])
        for part, array in (
            ("offsets", np.cumsum([0, *map(len, texts)], dtype=np.int64)),
            ("bytes", np.frombuffer(b"".join(texts), np.uint8)),
        ):
            (folder / f"{column}.{part}.npy").unlink()
            np.save(folder / f"{column}.{part}.npy", array)

    return sealed(change)
