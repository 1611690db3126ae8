"""FAISS search over the items of a release, restricted to the items that are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from trident.contract import EMBEDDING_DIM, NO_ITEM
from trident.errors import ReleaseError


@dataclass(frozen=True)
class ItemIndex:
    """A memory-mapped FAISS index under inner product; ids are item rows."""

    index: faiss.Index
    nprobe: int  # inverted lists read per query; without meaning for a flat index

    @classmethod
    def open(cls, path: Path, nprobe: int, items: int) -> ItemIndex:
        """Map the index file; raise ReleaseError unless it holds `items` vectors of 128 dimensions."""
        faiss.omp_set_num_threads(1)  # one query per process at a time: threads only get in each other's way
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise ReleaseError(f"{path.name} cannot be read: {str(error).splitlines()[-1][:200]}") from None
        if (index.ntotal, index.d) != (items, EMBEDDING_DIM):
            raise ReleaseError(
                f"{path.name}: expected {items} vectors of {EMBEDDING_DIM}, got {index.ntotal} of {index.d}"
            )
        return cls(index, nprobe)

    def search(self, query: np.ndarray, k: int, allowed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` nearest allowed items of one query (128,) float32.

        `allowed` is a bitmap, one bit per item, lowest bit first; `count` is how many bits are set. Returns rows
        (k,) int64, -1 pads, and similarities (k,) float32, NaN pads, nearest first. Where the usual number of lists
        holds fewer than min(k, count) allowed items, more lists are read until it is reached.
        """
        selector = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(allowed))
        wanted = min(k, count)
        nprobe = self.nprobe
        while True:
            similarity, rows = self.index.search(query[None], k, params=self._parameters(selector, nprobe))
            found = int((rows[0] != NO_ITEM).sum())
            if found >= wanted or nprobe >= self.lists:
                break
            nprobe *= 4
        similarity[0, found:] = np.nan
        return rows[0], similarity[0]

    @property
    def lists(self) -> int:
        """Number of inverted lists; 1 for an index that always reads everything."""
        return getattr(self.index, "nlist", 1)

    def _parameters(self, selector: faiss.IDSelector, nprobe: int) -> faiss.SearchParameters:
        if self.lists == 1:
            return faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        nprobe = min(nprobe, self.lists)
        return faiss.SearchParametersIVF(sel=selector, nprobe=nprobe)  # type: ignore[call-arg]
