"""The item columns of a release: memory-mapped arrays indexed by row number, which is also the FAISS id.

Every process that opens the same files shares their pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from trident.errors import ReleaseError, reason
from trident.item_ids import ItemIds, id_hash
from trident.stored_rows import StoredRows
from trident.strings import StringColumn, check_ids, mapped

REGIONS_PER_WORD = 64
COLUMNS = {
    "features": np.float32,  # (n, 40) as of the release's `as_of`
    "vectors": np.float16,  # (n, 128) what `taste` is pooled from
    "category": np.int32,  # (n,) code in the vocabulary, -1 unknown
    "published_at": np.int64,  # (n,) unix seconds, 0 unknown
    "age_limit": np.uint8,  # (n,) years that a viewer must have
    "in_stock": np.bool_,  # (n,)
    "flagged": np.bool_,  # (n,)
    "blocked": np.uint64,  # (n, words) bit r of word w: blocked in region 64·w + r
    "popular": np.int32,  # (1 + regions, p) rows, most popular first, -1 pads: of all viewers, then of each region
}


@dataclass(frozen=True)
class ItemColumns:
    """The columns of n items; see COLUMNS for shapes, dtypes and units."""

    folder: Path
    ids: StringColumn
    titles: StringColumn
    categories: tuple[str, ...]
    features: np.ndarray
    vectors: np.ndarray
    category: np.ndarray
    published_at: np.ndarray
    age_limit: np.ndarray
    in_stock: np.ndarray
    flagged: np.ndarray
    blocked: np.ndarray
    popular: np.ndarray

    @classmethod
    def open(cls, folder: Path) -> ItemColumns:
        """Map all columns of `folder`; raise ReleaseError when one is missing or of another length or dtype."""
        folder = Path(folder)
        try:
            columns = {name: mapped(folder / f"{name}.npy") for name in COLUMNS}
            ids, titles = StringColumn.open(folder, "ids"), StringColumn.open(folder, "titles")
            categories = StringColumn.open(folder, "categories")
        except (OSError, ValueError) as error:
            raise ReleaseError(f"item columns cannot be read: {reason(error)}") from None
        _check(columns, len(ids), len(titles))
        return cls(
            folder, ids, titles, tuple(c.decode() for c in categories.take(np.arange(len(categories)))), **columns
        )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, ids: Sequence[bytes | str]) -> np.ndarray:
        """Rows of item ids: (n,) int64, -1 for an id that is not in this release."""
        return self._ids.rows([i.encode() if isinstance(i, str) else i for i in ids])

    @cached_property
    def stored_vectors(self) -> StoredRows:
        """The column `vectors` for who needs few of them: read, not mapped."""
        return StoredRows(self.folder / "vectors.npy")

    @cached_property
    def _ids(self) -> ItemIds:
        return ItemIds(self.ids, mapped(self.folder / "id_hash.npy"), mapped(self.folder / "id_row.npy"))

    def title(self, row: int) -> str:
        """The title of one item, "" when it has none."""
        return self.titles[row].decode("utf-8", "replace")

    def category_name(self, row: int) -> str:
        """The category of one item, "" when it has none."""
        code = int(self.category[row])
        return self.categories[code] if 0 <= code < len(self.categories) else ""


def write_items(
    folder: Path, ids: Sequence[str], titles: Sequence[str], categories: Sequence[str], **columns: np.ndarray
) -> None:
    """Write the item columns of a release: `columns` holds every name of COLUMNS, converted to its dtype.

    Raises InvalidInput for an id that is empty, too long or not clean text.
    """
    names = [i.encode() for i in ids]
    check_ids("item", names)
    folder.mkdir(parents=True, exist_ok=True)
    StringColumn.write(folder, "ids", names)
    StringColumn.write(folder, "titles", [t.encode() for t in titles])
    StringColumn.write(folder, "categories", [c.encode() for c in categories])
    hashes = np.fromiter((id_hash(n) for n in names), np.uint64, len(names))
    order = np.argsort(hashes, kind="stable")
    np.save(folder / "id_hash.npy", hashes[order])
    np.save(folder / "id_row.npy", order.astype(np.int32))
    for name, dtype in COLUMNS.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(columns[name], dtype))


def blocked_words(blocked: Sequence[Sequence[int]], regions: int) -> np.ndarray:
    """Turn lists of region codes into the (n, words) uint64 bit mask of the column `blocked`."""
    words = np.zeros((len(blocked), max(1, -(-regions // REGIONS_PER_WORD))), np.uint64)
    for row, codes in enumerate(blocked):
        for code in codes:
            words[row, code // REGIONS_PER_WORD] |= np.uint64(1) << np.uint64(code % REGIONS_PER_WORD)
    return words


def _check(columns: dict[str, np.ndarray], ids: int, titles: int) -> None:
    for name, dtype in COLUMNS.items():
        column = columns[name]
        if column.dtype != dtype:
            raise ReleaseError(f"item column '{name}': expected dtype {np.dtype(dtype)}, got {column.dtype}")
        if name != "popular" and len(column) != ids:
            raise ReleaseError(f"item column '{name}': expected {ids} rows, got {len(column)}")
    if columns["popular"].ndim != 2:
        raise ReleaseError(f"item column 'popular': expected (1 + regions, p), got {columns['popular'].shape}")
    if titles != ids:
        raise ReleaseError(f"item column 'titles': expected {ids} rows, got {titles}")
