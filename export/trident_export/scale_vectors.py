"""Item embeddings of any number from a seeded mixture: topics within categories, each a cloud on the unit sphere.

Rows come in blocks with a random stream of their own each, so that any part can be made at any time and twice the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import EMBEDDING_DIM

BLOCK = 1 << 16  # rows with one random stream: 32 MB of float32
ITEMS_PER_TOPIC, MOST_TOPICS = 2_000, 4_096
SKEW = 0.6  # topic of rank r is as frequent as (r + 10)^−SKEW: the largest holds about 10 times the items of the mean
WITHIN = 0.8  # length of a topic's own direction beside that of its category
SPREAD = (0.6, 1.5)  # length of an item's own direction beside that of its topic, from narrow topics to wide ones


@dataclass(frozen=True)
class Mixture:
    """Where items lie: T topics in C categories."""

    centres: np.ndarray  # (T, 128) float32 of unit length
    category: np.ndarray  # (T,) int32
    share: np.ndarray  # (T,) float64, sums to 1
    spread: np.ndarray  # (T,) float32
    seed: int

    @classmethod
    def of(cls, items: int, categories: int, seed: int) -> Mixture:
        """A mixture for so many items."""
        rng = np.random.default_rng([seed, 1])
        topics = min(max(items // ITEMS_PER_TOPIC, categories), MOST_TOPICS)
        category = rng.permutation(np.arange(topics) % categories).astype(np.int32)
        roots = unit(rng.standard_normal((categories, EMBEDDING_DIM), np.float32))
        own = unit(rng.standard_normal((topics, EMBEDDING_DIM), np.float32))
        share = (np.arange(topics) + 10.0) ** -SKEW
        spread = rng.uniform(*SPREAD, topics).astype(np.float32)
        return cls(unit(roots[category] + WITHIN * own), category, share / share.sum(), spread, seed)

    def topics(self, block: int, rows: int) -> np.ndarray:
        """The topics of the first `rows` items of a block: (rows,) int32."""
        return np.searchsorted(np.cumsum(self.share)[:-1], self._stream(block, 2).random(rows)).astype(np.int32)

    def vectors(self, block: int, topics: np.ndarray) -> np.ndarray:
        """The embeddings of the first items of a block, of those topics: (rows, 128) float32 of unit length."""
        noise = self._stream(block, 3).standard_normal((len(topics), EMBEDDING_DIM), np.float32)
        noise *= (self.spread[topics] / np.float32(EMBEDDING_DIM**0.5))[:, None]
        noise += self.centres[topics]
        return unit(noise)

    def _stream(self, block: int, what: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, what, block])


def blocks(items: int) -> list[tuple[int, slice]]:
    """Number and rows of each block."""
    return [(start // BLOCK, slice(start, min(start + BLOCK, items))) for start in range(0, items, BLOCK)]


def unit(vectors: np.ndarray) -> np.ndarray:
    """The same vectors with length 1."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


@dataclass(frozen=True)
class HalfVectors:
    """Embeddings kept as a float16 array (N, 128), usually mapped from a file, as float32 where they are asked for."""

    array: np.ndarray

    @classmethod
    def open(cls, path: Path) -> HalfVectors:
        """Map a .npy file."""
        return cls(np.load(path, mmap_mode="r"))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, rows: slice | np.ndarray) -> np.ndarray:
        """The embeddings of a slice or an array of rows: (m, 128) float32."""
        return self.array[rows].astype(np.float32)
