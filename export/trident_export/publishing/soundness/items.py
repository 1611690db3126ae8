"""The item columns: of one length, with ids that can be found, and values within the vocabulary."""

from __future__ import annotations

import numpy as np

from trident.contract import EMBEDDING_DIM
from trident.errors import ReleaseError
from trident.features.registry import ITEM
from trident.item_ids import id_hash
from trident.items import COLUMNS, REGIONS_PER_WORD, ItemColumns
from trident.release import Release
from trident.strings import StringColumn, mapped
from trident_export.publishing.soundness.numbers import (
    chunks,
    require_bool,
    require_features,
    require_range,
    require_shape,
)
from trident_export.publishing.soundness.strings import require_ids, require_strings

EARLIEST, LATEST = -62_135_596_800, 253_402_300_799  # years 1 to 9999
LONGEST = 65_000.0  # largest number that float16 holds, about
HASHED = 200_000
"""Ids whose hash is computed again; of more items, so many spread evenly."""


def require_items(release: Release) -> None:
    """Raise ReleaseError unless the columns are whole, agree with each other and fit the manifest."""
    folder, n = release.folder / "items", release.manifest.items
    for name in ("ids", "titles"):
        column = StringColumn.open(folder, name)
        (require_ids if name == "ids" else require_strings)(f"items/{name}", column, n)
    vocabulary, names = release.vocabulary, StringColumn.open(folder, "categories")
    require_strings("items/categories", names, len(vocabulary.categories))
    items = release.items
    if items.categories != vocabulary.categories:
        raise ReleaseError("items/categories: expected the categories of the manifest's vocabulary, got others")
    _require_shapes(items, n, len(vocabulary.regions))
    _require_found(items)
    require_features("items/features", items.features, ITEM, vocabulary)
    require_range("items/vectors", items.vectors, -LONGEST, LONGEST)
    require_range("items/category", items.category, -1, len(vocabulary.categories) - 1)
    require_range("items/published_at", items.published_at, EARLIEST, LATEST)
    require_range("items/popular", items.popular, -1, n - 1)
    for name in ("in_stock", "flagged"):
        require_bool(f"items/{name}", getattr(items, name))
    _require_regions(items.blocked, len(vocabulary.regions))


def _require_shapes(items: ItemColumns, n: int, regions: int) -> None:
    words = max(1, -(-regions // REGIONS_PER_WORD))
    wide = {"features": len(ITEM), "vectors": EMBEDDING_DIM, "blocked": words}
    for name, dtype in COLUMNS.items():
        shape = (1 + regions, -1) if name == "popular" else (n, wide[name]) if name in wide else (n,)
        require_shape(f"items/{name}", getattr(items, name), shape, dtype)


def _require_found(items: ItemColumns) -> None:
    """Every id is found where it is: hashes in order, each of a row, and each row once."""
    n = len(items)
    hashes, order = mapped(items.folder / "id_hash.npy"), mapped(items.folder / "id_row.npy")
    require_shape("items/id_hash", hashes, (n,), np.uint64)
    require_shape("items/id_row", order, (n,), np.int32)
    require_range("items/id_row", order, 0, n - 1)
    if len(np.unique(order)) != n:
        raise ReleaseError(f"items/id_row: expected each of {n} rows once, got {len(np.unique(order))} of them")
    if (hashes[1:] < hashes[:-1]).any():
        raise ReleaseError("items/id_hash: expected hashes in rising order, got others")
    places = np.unique(np.linspace(0, n - 1, min(n, HASHED)).astype(int))
    for _, part in chunks(places):
        for place, name in zip(part, items.ids.take(order[part]), strict=True):
            if int(hashes[place]) != id_hash(name):
                raise ReleaseError(f"items/id_hash, place {place}: expected the hash of {name!r}, got another")


def _require_regions(blocked: np.ndarray, regions: int) -> None:
    known = np.zeros(blocked.shape[1], np.uint64)
    for region in range(regions):
        known[region // REGIONS_PER_WORD] |= np.uint64(1) << np.uint64(region % REGIONS_PER_WORD)
    for start, part in chunks(blocked):
        if (part & ~known).any():
            row = start + int(np.argmax((part & ~known).any(axis=1)))
            raise ReleaseError(f"items/blocked, row {row}: expected bits of {regions} regions, got others")
