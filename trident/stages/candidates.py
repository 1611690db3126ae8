"""The nearest items of each user's embedding among those that the user may see and was not shown lately."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from trident.contract import CANDIDATES_PER_USER, NO_ITEM, SEARCH_FUNNEL, degraded_bit
from trident.release import Release
from trident.safety import Safety
from trident.search import ItemIndex
from trident.stages.stage import Infer, Tensors

POPULAR = degraded_bit("popular_fallback")


@dataclass
class Candidates:
    """FAISS search with the filters pushed into it."""

    safety: Safety
    index: ItemIndex
    popular: np.ndarray

    @classmethod
    def open(cls, release: Release, infer: Infer) -> Candidates:
        """Map the index and the item columns."""
        manifest = release.manifest
        index = ItemIndex.open(release.folder / "index.faiss", int(manifest.search["nprobe"]), manifest.items)
        return cls(Safety(release.items), index, np.asarray(release.items.popular, np.int64))

    def __call__(
        self,
        user_embedding: np.ndarray,
        seen_rows: np.ndarray,
        viewer_region: np.ndarray,
        viewer_age: np.ndarray,
        state_flags: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `candidates`."""
        users = len(user_embedding)
        rows = np.full((users, CANDIDATES_PER_USER), NO_ITEM, np.int64)
        similarity = np.full((users, CANDIDATES_PER_USER), np.nan, np.float32)
        funnel = np.zeros((users, len(SEARCH_FUNNEL)), np.int32)
        flags = state_flags.copy()
        for i in range(users):
            allowed = self.safety.allowed(int(viewer_region[i, 0]), int(viewer_age[i, 0]))
            with without(allowed.bitmap, seen_rows[i]) as hidden:
                left = allowed.safe - hidden
                if np.isfinite(user_embedding[i]).all():
                    found = self.index.search(user_embedding[i], CANDIDATES_PER_USER, allowed.bitmap, left)
                    rows[i], similarity[i] = found
                else:
                    flags[i] |= POPULAR
                    self._popular(rows[i], similarity[i], allowed.bitmap)
            counts = (len(self.safety.items), allowed.in_stock, allowed.region_allowed, allowed.safe, left)
            funnel[i] = (*counts, (rows[i] != NO_ITEM).sum())
        return {
            "candidate_rows": rows,
            "similarity": similarity,
            "search_funnel": funnel,
            "search_flags": flags,
        }

    def _popular(self, rows: np.ndarray, similarity: np.ndarray, bitmap: np.ndarray) -> None:
        allowed = self.popular[bits(bitmap, self.popular)][: len(rows)]
        rows[: len(allowed)] = allowed
        similarity[: len(allowed)] = 0.0  # neither near nor far: the forest still ranks by everything else


def bits(bitmap: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether each of `rows` (m,) is set in a bitmap, lowest bit first: (m,) bool."""
    return (bitmap[rows >> 3] >> (rows & 7).astype(np.uint8) & 1).astype(bool)


@contextmanager
def without(bitmap: np.ndarray, rows: np.ndarray) -> Iterator[int]:
    """Clear the bits of `rows` (m,), -1 ignored, for the time of one search; yields how many were set.

    The kept bitmap is lent to the search and given back, because copying 10 million bits costs more than the search
    of a small catalogue.
    """
    rows = np.unique(rows[rows != NO_ITEM])
    hidden = rows[bits(bitmap, rows)]
    where, masks = hidden >> 3, (1 << (hidden & 7)).astype(np.uint8)
    np.bitwise_and.at(bitmap, where, ~masks)
    try:
        yield len(hidden)
    finally:
        np.bitwise_or.at(bitmap, where, masks)
