"""The vocabulary of a scale release, and its strings of one width, which are written without making them one by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trident.features.vocabulary import Vocabulary
from trident.item_ids import id_hash
from trident_export.scale_vectors import blocks

CATEGORIES, SUBCATEGORIES, LANGUAGES, REGIONS, ACCOUNTS = 50, 500, 10, 20, 4


def vocabulary() -> Vocabulary:
    """Numbered names."""
    return Vocabulary(
        categories=_named("category", CATEGORIES),
        subcategories=_named("subcategory", SUBCATEGORIES),
        languages=_named("language", LANGUAGES),
        regions=tuple(f"X{chr(ord('A') + n)}" for n in range(REGIONS)),  # codes that ISO 3166 leaves to users
        account_types=_named("account", ACCOUNTS),
    )


def _named(kind: str, count: int) -> tuple[str, ...]:
    return tuple(f"{kind} {n}" for n in range(count))


def numbered(prefix: bytes, rows: slice, width: int) -> np.ndarray:
    """`prefix` and the row in `width` digits: (m, len(prefix) + width) uint8."""
    numbers = np.arange(rows.start, rows.stop)
    out = np.empty((len(numbers), len(prefix) + width), np.uint8)
    out[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
    for place in range(width):
        out[:, -1 - place] = 48 + numbers // 10**place % 10
    return out


def write_numbered(folder: Path, name: str, prefix: bytes, count: int) -> None:
    """Write a string column whose row n says `prefix` and n; all are of one length, so that they sort like numbers."""
    width = digits(count)
    length = len(prefix) + width
    np.save(folder / f"{name}.offsets.npy", np.arange(count + 1, dtype=np.int64) * length)
    data = np.lib.format.open_memmap(folder / f"{name}.bytes.npy", "w+", np.uint8, (count * length,))
    for _, rows in blocks(count):
        data[rows.start * length : rows.stop * length] = numbered(prefix, rows, width).ravel()


def write_hashes(folder: Path, prefix: bytes, count: int) -> None:
    """Write what finds the rows of the ids of `write_numbered`."""
    hashes = np.empty(count, np.uint64)
    for _, rows in blocks(count):
        ids = numbered(prefix, rows, digits(count))
        hashes[rows] = [id_hash(name) for name in ids.view(f"S{ids.shape[1]}").ravel().tolist()]
    order = np.argsort(hashes, kind="stable")
    np.save(folder / "id_hash.npy", hashes[order])
    np.save(folder / "id_row.npy", order.astype(np.int32))


def digits(count: int) -> int:
    """Digits of the largest of `count` rows."""
    return len(str(max(count - 1, 0)))
