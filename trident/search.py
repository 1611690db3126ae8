"""FAISS search over the items of a release, restricted to the items that are allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from trident.bitmap import first_set, set_rows
from trident.contract import EMBEDDING_DIM, NO_ITEM
from trident.errors import ReleaseError

EXACT_SHARE = 0.01
"""Up to this share of allowed items, comparing with each of them costs less than reading all inverted lists."""
MOST_EXACT = 5_000  # allowed items; 3 ms on one core
MOST_READ = 1_000_000  # items whose bit is looked at per query, unless too few allowed ones are found; 5 ms on one core

LOOKED_AT = 16
"""Where lists are found by groups of them: lists in the groups that are read, per list of which the items are read."""
MOSTLY, MOST_DROPPED = 0.8, 4_000
"""From this share of allowed items on, up to so many are searched, and those that are not allowed, or hidden because of
the user, are dropped, instead of a filter inside. Where fewer are allowed, a user may have none of them near."""

Search = Callable[[int, np.ndarray, int, int], tuple[np.ndarray, np.ndarray]]
"""`ItemIndex.search` for a given query: k, bitmap, allowed and hidden items → rows and similarities."""


@dataclass(frozen=True)
class ItemIndex:
    """A memory-mapped FAISS index under inner product; ids are item rows.

    It is flat, has inverted lists, or has inverted lists of short codes and compares what is nearest by them once more.
    """

    index: faiss.Index
    nprobe: int  # inverted lists read per query without a filter; without meaning for a flat index
    widening: float = 1.0  # a filter that leaves 1 item in n has n^widening times as many lists read
    _unfiltered: dict[int, faiss.SearchParameters] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )  # how to search so many lists without a filter; making one takes 17 µs

    @classmethod
    def open(cls, path: Path, nprobe: int, items: int, widening: float = 1.0) -> ItemIndex:
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
        return cls(index, nprobe, widening)

    @classmethod
    def served(cls, path: Path, search: Mapping[str, Any], items: int) -> ItemIndex:
        """Map the index of a release, to be searched as `search` of its manifest says."""
        return cls.open(path, int(search["nprobe"]), items, float(search.get("widening", 1.0)))

    def search(
        self, query: np.ndarray, k: int, allowed: np.ndarray, count: int, hidden: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """The `k` nearest allowed items of one query (128,) float32.

        `allowed` is a bitmap, one bit per item, lowest bit first; `count` is how many bits are set. `hidden` is how
        many are not set because of the user, a hint: those are near. Returns rows
        (k,) int64, -1 pads, and similarities (k,) float32, NaN pads, nearest first, min(k, count) of them in any case.
        The fewer items are allowed, the more lists are read; where very few are, all of them are compared.
        """
        if self.lists > 1 and count <= min(EXACT_SHARE * self.index.ntotal, MOST_EXACT):
            return self._exact(query, k, set_rows(allowed))
        wanted = min(k, count)
        nprobe = self.nprobe_for(count)
        more = self._enough(k, count, hidden)
        if more <= MOST_DROPPED and self._drops(k, count, hidden):
            nearest = self._dropped(query, k, allowed, nprobe, more)
            if nearest is not None:
                return nearest
        while True:
            rows, similarity = self.read(query, k, allowed, nprobe)
            found = int((rows != NO_ITEM).sum())
            if found >= wanted or nprobe >= self.lists:
                break
            nprobe *= 4
        similarity[found:] = np.nan
        return rows, similarity

    def prepared(self, queries: np.ndarray) -> Sequence[Search]:
        """`search` for each of the queries (Q, 128), whose filters may differ and come later."""
        return [partial(self.search, query) for query in queries]

    def read_everything(self, query: np.ndarray, k: int, allowed: np.ndarray) -> np.ndarray:
        """The rows (k,) that `search` would find if it read all lists: int64, -1 pads."""
        return self.read(query, k, allowed, self.lists)[0]

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
        found, near = self.read(query, len(rows), np.packbits(wanted, bitorder="little"), self.lists)
        order = np.argsort(found)
        return near[order[np.searchsorted(found, rows, sorter=order)]]

    @property
    def lists(self) -> int:
        """Number of inverted lists; 1 for an index that always reads everything."""
        return getattr(self._inverted, "nlist", 1)

    @cached_property
    def _inverted(self) -> faiss.Index:
        return inverted(self.index)

    def _exact(self, query: np.ndarray, k: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        similarity = self.similarity(query, rows)
        best = np.argsort(-similarity, kind="stable")[:k]
        found = np.full(k, NO_ITEM, np.int64)
        found_similarity = np.full(k, np.nan, np.float32)
        found[: len(best)] = rows[best]
        found_similarity[: len(best)] = similarity[best]
        return found, found_similarity

    def _drops(self, k: int, count: int, hidden: int) -> bool:
        plain = self.lists > 1 and self.index is self._inverted
        return plain and k <= count and count + hidden >= MOSTLY * self.index.ntotal

    def _enough(self, k: int, count: int, hidden: int) -> int:
        """Among so many of the nearest items `k` are allowed, nearly always.

        Before the `hidden` ones were, m = k + hidden had to be. Let chance allow each item: how many have to be looked
        at for m has a mean of m / share and a standard deviation of √(m (1 − share)) / share (negative binomial).
        """
        share = min((count + hidden) / self.index.ntotal, 1.0) or 1 / self.index.ntotal
        wanted = k + hidden
        return math.ceil(1.05 * (wanted + 3 * math.sqrt(wanted * (1 - share))) / share) + 20

    def _dropped(
        self, query: np.ndarray, k: int, allowed: np.ndarray, nprobe: int, more: int
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """What `read` finds, out of the nearest `more` of the same lists without a filter; None where too few are left.

        Asking the filter about a few of what is found costs less than asking it about all that is read.
        """
        if nprobe not in self._unfiltered:
            self._unfiltered[nprobe] = parameters(self.index, nprobe, None)
        similarity, rows = self.index.search(query[None], more, params=self._unfiltered[nprobe])
        left = first_set(allowed, rows[0], k)
        return (rows[0, left], similarity[0, left]) if len(left) == k else None

    def nprobe_for(self, count: int) -> int:
        """So many lists that the filter costs no recall, as long as that is not too many."""
        items = self.index.ntotal
        affordable = max(self.nprobe, int(MOST_READ / items * self.lists))
        return min(math.ceil(self.nprobe * (items / max(count, 1)) ** self.widening), affordable, self.lists)

    def read(self, query: np.ndarray, k: int, allowed: np.ndarray, nprobe: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (k,) and similarities (k,) out of `nprobe` lists, as FAISS gives them."""
        selector = faiss.IDSelectorBitmap(len(allowed), faiss.swig_ptr(allowed))
        similarity, rows = self.index.search(query[None], k, params=parameters(self.index, nprobe, selector))
        return rows[0], similarity[0]


def parameters(index: Any, nprobe: int, selector: faiss.IDSelector | None) -> faiss.SearchParameters:
    """How to search an index of any kind: `nprobe` lists where it has some, only what `selector` allows."""
    kind: Any = faiss.SearchParameters
    given: dict[str, Any] = {"sel": selector}
    if isinstance(index, faiss.IndexRefine):
        kind = faiss.IndexRefineSearchParameters
        given = {"k_factor": index.k_factor, "base_index_params": parameters(inverted(index), nprobe, selector)}
    elif hasattr(index, "nlist"):
        kind = faiss.IVFRaBitQSearchParameters if "RaBitQ" in type(index).__name__ else faiss.SearchParametersIVF
        given["nprobe"] = min(nprobe, index.nlist)
        quantizer: Any = faiss.downcast_index(index.quantizer)
        if hasattr(quantizer, "nlist"):
            groups = groups_read(quantizer, given["nprobe"], index.nlist)
            of_lists: Any = faiss.SearchParametersIVF
            given["quantizer_params"] = of_lists(nprobe=groups)
    return kind(**given)


def groups_read(quantizer: Any, nprobe: int, lists: int) -> int:
    """How many groups of lists are read for the `nprobe` nearest of all `lists`; at least as many as by default."""
    return min(max(math.ceil(LOOKED_AT * nprobe * quantizer.nlist / lists), quantizer.nprobe), quantizer.nlist)


def inverted(index: faiss.Index) -> faiss.Index:
    """The part of an index that is searched first: itself, or what it refines."""
    return faiss.downcast_index(index.base_index) if isinstance(index, faiss.IndexRefine) else index
