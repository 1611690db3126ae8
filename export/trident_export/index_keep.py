"""Embeddings that are asked for once and read several times: from where they lie, from memory, or from a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile

import numpy as np

from trident.contract import EMBEDDING_DIM
from trident_export.index_truth import Embeddings, batches
from trident_export.scale_vectors import HalfVectors

FEW = 200_000  # items whose embeddings are kept in memory: 100 MB


@contextmanager
def kept(embeddings: Embeddings) -> Iterator[Embeddings]:
    """The same embeddings, where reading them again costs little; those of millions of items go to a file."""
    if isinstance(embeddings, (np.ndarray, HalfVectors)):
        yield embeddings
    elif len(embeddings) <= FEW:
        yield _copied(embeddings, np.empty((len(embeddings), EMBEDDING_DIM), np.float32))
    else:
        with TemporaryFile(prefix="trident-embeddings-") as file:
            file.truncate(4 * EMBEDDING_DIM * len(embeddings))
            yield _copied(embeddings, np.memmap(file, np.float32, "r+", shape=(len(embeddings), EMBEDDING_DIM)))


def _copied(embeddings: Embeddings, out: np.ndarray) -> np.ndarray:
    for rows, batch in batches(embeddings):
        out[rows] = batch
    return out
