"""The index: every item once, in inverted lists that can be read, with vectors of finite numbers."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from trident.errors import ReleaseError
from trident.release import Release
from trident.search import ItemIndex

NAME = "index.faiss"
SAMPLE = 20_000
"""Vectors that are read; of more items, so many spread evenly. The gate on recall reads all."""


def open_index(release: Release) -> ItemIndex:
    """Map the index of a release as the serving process does."""
    return ItemIndex.open(release.folder / NAME, int(release.manifest.search["nprobe"]), release.manifest.items)


def require_index(release: Release) -> None:
    """Raise ReleaseError unless the index holds each item of the manifest once and compares by inner product."""
    index = open_index(release)
    if index.index.metric_type != faiss.METRIC_INNER_PRODUCT or not index.index.is_trained:
        raise ReleaseError(f"{NAME}: expected a trained index under inner product, got another")
    if index.nprobe > index.lists:
        raise ReleaseError(f"{NAME}: expected an nprobe of at most {index.lists} lists, got {index.nprobe}")
    items = release.manifest.items
    if index.lists > 1:
        _require_lists(index, items)
    vectors = vectors_of(index, np.unique(np.linspace(0, items - 1, min(items, SAMPLE)).astype(np.int64)))
    if not np.isfinite(vectors).all():
        raise ReleaseError(f"{NAME}: vectors hold NaN or infinite numbers")


def vectors_of(index: ItemIndex, rows: np.ndarray) -> np.ndarray:
    """The vectors of `rows` (m,) int64 as the index has them: (m, 128) float32."""
    return np.asarray(index.index.reconstruct_batch(np.ascontiguousarray(rows, np.int64)))


def _require_lists(index: ItemIndex, items: int) -> None:
    """Each row stands once in one of the lists."""
    lists: Any = faiss.extract_index_ivf(index.index).invlists
    seen = np.zeros(items, bool)
    held = 0
    for number in range(lists.nlist):
        size = lists.list_size(number)
        if not size:
            continue
        held += size
        if held > items:
            break
        rows = faiss.rev_swig_ptr(lists.get_ids(number), size)
        if rows.min() < 0 or rows.max() >= items:
            raise ReleaseError(f"{NAME}, list {number}: expected rows below {items}, got {rows.min()} to {rows.max()}")
        seen[rows] = True
    if held != items or not seen.all():
        raise ReleaseError(f"{NAME}: expected each of {items} rows in one list, got {int(seen.sum())} in {held} places")
