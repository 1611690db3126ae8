"""What exact search finds, with and without filters: the measure of every index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from trident.contract import EMBEDDING_DIM, NO_ITEM
from trident.errors import InvalidInput, ReleaseError

SHARES = (1.0, 0.9, 0.3)
"""Allowed items: all, all but 10 %, all but 70 %; which ones, is drawn evenly."""
TIE = 1e-6  # similarities this close to the last exact one count as found
BATCH = 1 << 17  # items that are embedded and compared at once: 64 MB; a multiple of 8


class Embeddings(Protocol):
    """Item embeddings by row: an array (N, 128) float32, or something that makes the rows it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray:
        """The embeddings of a slice or an array of rows: (m, 128) float32."""


@dataclass(frozen=True)
class Allowed:
    """Which items a search may find, and what it should."""

    share: float
    bitmap: np.ndarray  # (ceil(N / 8),) uint8, lowest bit first
    count: int
    rows: np.ndarray  # (Q, k) int64: the exact nearest
    worst: np.ndarray  # (Q,) float32: similarity of the k-th of them


@dataclass(frozen=True)
class Truth:
    """Q queries, and what exact search finds for each under every filter."""

    queries: np.ndarray  # (Q, 128) float32
    k: int
    filters: tuple[Allowed, ...]

    @classmethod
    def of(
        cls, embeddings: Embeddings, queries: np.ndarray, k: int, seed: int = 0, shares: Sequence[float] = SHARES
    ) -> Truth:
        """Compare `queries` with all items, with filters drawn evenly."""
        rng = np.random.default_rng(seed)
        return cls.under(embeddings, queries, k, [(share, rng.random(len(embeddings)) < share) for share in shares])

    @classmethod
    def under(
        cls, embeddings: Embeddings, queries: np.ndarray, k: int, masks: Sequence[tuple[float, np.ndarray]]
    ) -> Truth:
        """The same with given filters, (share, (N,) bool) each; k is smaller where fewer items are allowed."""
        found = [_Nearest(len(queries), min(k, int(mask.sum()))) for _, mask in masks]
        for rows, batch in batches(embeddings):
            similarity = queries @ batch.T
            for nearest, (_, mask) in zip(found, masks, strict=True):
                nearest.look(similarity, mask[rows], rows.start)
        return cls(queries, k, tuple(near.under(*mask) for near, mask in zip(found, masks, strict=True)))

    def found(self, which: int, query: int, rows: np.ndarray, embeddings: Embeddings) -> int:
        """How many of the exact nearest a query's `rows` (k,) contain; ties with the last count, duplicates do not."""
        exact = self.filters[which]
        mine = np.unique(rows[rows != NO_ITEM])
        others = mine[~np.isin(mine, exact.rows[query])]
        ties = 0
        if len(others) and exact.rows.shape[1]:
            ties = int((embeddings[others] @ self.queries[query] >= exact.worst[query] - TIE).sum())
        return min(len(mine) - len(others) + ties, exact.rows.shape[1])


def batches(embeddings: Embeddings) -> Iterator[tuple[slice, np.ndarray]]:
    """All rows, some at a time; raise ReleaseError for numbers that are none."""
    for start in range(0, len(embeddings), BATCH):
        rows = slice(start, min(start + BATCH, len(embeddings)))
        batch = np.ascontiguousarray(embeddings[rows])
        check("embeddings", batch)
        yield rows, batch


def check(name: str, array: np.ndarray) -> None:
    """Raise InvalidInput unless it is (n, 128) float32, and ReleaseError when it holds NaN or infinite numbers."""
    if array.ndim != 2 or array.shape[1] != EMBEDDING_DIM or array.dtype != np.float32 or not len(array):
        expected = f"[1 or more, {EMBEDDING_DIM}] float32"
        raise InvalidInput(f"index: {name}: expected {expected}, got {list(array.shape)} {array.dtype}")
    if not np.isfinite(array).all():
        raise ReleaseError(f"index: {name} hold NaN or infinite numbers; the towers did not train well")


class _Nearest:
    """The nearest items of Q queries under one filter, among those that were looked at."""

    def __init__(self, queries: int, k: int) -> None:
        self.rows = np.full((queries, k), NO_ITEM, np.int64)
        self.similarity = np.full((queries, k), -np.inf, np.float32)

    def look(self, similarity: np.ndarray, allowed: np.ndarray, start: int) -> None:
        """Look at the next m items, from row `start` on: `similarity` (Q, m), `allowed` (m,) bool."""
        k = self.rows.shape[1]
        for query, near in enumerate(similarity if k else ()):
            at = np.flatnonzero((near > self.similarity[query, -1]) & allowed)
            if len(at) > k:
                at = at[np.argpartition(-near[at], k - 1)[:k]]
            if len(at):
                self._merge(query, start + at, near[at])

    def _merge(self, query: int, rows: np.ndarray, similarity: np.ndarray) -> None:
        rows = np.concatenate([self.rows[query], rows])
        similarity = np.concatenate([self.similarity[query], similarity])
        best = np.argsort(-similarity, kind="stable")[: self.rows.shape[1]]
        self.rows[query], self.similarity[query] = rows[best], similarity[best]

    def under(self, share: float, mask: np.ndarray) -> Allowed:
        """What was found, with the filter."""
        k = self.rows.shape[1]
        worst = self.similarity[:, -1] if k else np.empty(len(self.rows), np.float32)
        return Allowed(share, np.packbits(mask, bitorder="little"), int(mask.sum()), self.rows, worst)
