"""FAISS search over the items of a release, restricted to the items that are allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np

from trident.contract import EMBEDDING_DIM, NO_ITEM
from trident.errors import ReleaseError

EXACT_SHARE = 0.01
"""Up to this share of allowed items, comparing with each of them costs less than reading all inverted lists."""
MOST_EXACT = 5_000  # allowed items; 3 ms on one core
MOST_READ = 1_000_000  # items whose bit is looked at per query, unless too few allowed ones are found; 5 ms on one core


@dataclass(frozen=True)
class ItemIndex:
    """A memory-mapped FAISS index under inner product; ids are item rows."""

    index: faiss.Index
    nprobe: int  # inverted lists read per query without a filter; without meaning for a flat index

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
        if hasattr(index, "make_direct_map"):
            index.make_direct_map(True)  # where the vector of a row lies; 8 bytes per item
        return cls(index, nprobe)

    def search(self, query: np.ndarray, k: int, allowed: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The `k` nearest allowed items of one query (128,) float32.

        `allowed` is a bitmap, one bit per item, lowest bit first; `count` is how many bits are set. Returns rows
        (k,) int64, -1 pads, and similarities (k,) float32, NaN pads, nearest first, min(k, count) of them in any case.
        The fewer items are allowed, the more lists are read; where very few are, all of them are compared.
        """
        if self.lists > 1 and count <= min(EXACT_SHARE * self.index.ntotal, MOST_EXACT):
            return self._exact(query, k, allowed_rows(allowed))
        wanted = min(k, count)
        nprobe = self._nprobe(count)
        while True:
            rows, similarity = self._read(query, k, allowed, nprobe)
            found = int((rows != NO_ITEM).sum())
            if found >= wanted or nprobe >= self.lists:
                break
            nprobe *= 4
        similarity[found:] = np.nan
        return rows, similarity

    def read_everything(self, query: np.ndarray, k: int, allowed: np.ndarray) -> np.ndarray:
        """The rows (k,) that `search` would find if it read all lists: int64, -1 pads."""
        return self._read(query, k, allowed, self.lists)[0]

    def similarity(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Inner product of one query (128,) with distinct items `rows` (m,) int64 as the index has them: (m,) float32.

        Each of them is the same number whatever the others are; of a flat index, the one that `search` finds.
        """
        if self.lists == 1:
            return self.scanned(query, rows)
        return np.einsum("ij,j->i", self.index.reconstruct_batch(rows), query)

    def scanned(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """The same by reading all lists, to the last bit as `search` finds it: (m,) float32."""
        wanted = np.zeros(self.index.ntotal, bool)
        wanted[rows] = True
        found, near = self._read(query, len(rows), np.packbits(wanted, bitorder="little"), self.lists)
        order = np.argsort(found)
        return near[order[np.searchsorted(found, rows, sorter=order)]]

    @property
    def lists(self) -> int:
        """Number of inverted lists; 1 for an index that always reads everything."""
        return getattr(self.index, "nlist", 1)

    def _exact(self, query: np.ndarray, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity = self.similarity(query, rows)
        best = np.argsort(-similarity, kind="stable")[:k]
        found = np.full(k, NO_ITEM, np.int64)
        found_similarity = np.full(k, np.nan, np.float32)
        found[: len(best)] = rows[best]
        found_similarity[: len(best)] = similarity[best]
        return found, found_similarity

    def _nprobe(self, count: int) -> int:
        """So many lists that as many allowed items are read as without a filter, as long as that is not too many."""
        items = self.index.ntotal
        affordable = max(self.nprobe, int(MOST_READ / items * self.lists))
        return min(math.ceil(self.nprobe * items / max(count, 1)), affordable, self.lists)

    def _read(self, query: np.ndarray, k: int, allowed: np.ndarray, nprobe: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (k,) and similarities (k,) out of `nprobe` lists, as FAISS gives them."""
        given: dict[str, object] = {"sel": faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(allowed))}
        kind = faiss.SearchParameters
        if self.lists > 1:
            kind, given["nprobe"] = faiss.SearchParametersIVF, min(nprobe, self.lists)
        similarity, rows = self.index.search(query[None], k, params=kind(**given))
        return rows[0], similarity[0]


def allowed_rows(bitmap: np.ndarray) -> np.ndarray:
    """The rows whose bit is set, lowest bit first: (m,) int64, ascending."""
    where = np.flatnonzero(bitmap)
    byte, bit = np.nonzero(np.unpackbits(bitmap[where, None], axis=1, bitorder="little"))
    return where[byte] * 8 + bit
