"""Requests: pairs of an entity and a second, of which each distinct one is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trident.errors import InvalidInput

Ids: TypeAlias = Sequence[str] | np.ndarray | pa.Array


@dataclass(frozen=True)
class Requests:
    """The distinct requests among R: request i is `row` inverse[i] of `entity` and `second`.

    `ids` holds each entity's id once, and `entity` (n,) int64 points into it; `second` (n,) int64 unix seconds;
    `inverse` (R,) int64.
    """

    ids: pa.Array
    entity: np.ndarray
    second: np.ndarray
    inverse: np.ndarray

    @classmethod
    def of(cls, ids: Ids, timestamps: np.ndarray) -> Requests:
        """Find the distinct pairs of R ids and R unix seconds."""
        seconds = np.asarray(timestamps, np.int64)
        if len(ids) != len(seconds):
            raise InvalidInput(f"feature requests: expected as many timestamps as ids, {len(ids)}, got {len(seconds)}")
        names = ids if isinstance(ids, pa.Array) else pa.array(ids, pa.string())
        coded = pc.dictionary_encode(names)
        first = seconds.min(initial=0)
        span = seconds.max(initial=0) - first + 1
        key = coded.indices.to_numpy().astype(np.int64) * span + (seconds - first)
        distinct, inverse = np.unique(key, return_inverse=True)
        return cls(coded.dictionary, distinct // span, distinct % span + first, inverse.astype(np.int64))

    def __len__(self) -> int:
        return len(self.entity)

    def parts(self, largest: int, count: int) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Split by entity so that work on `count` rows goes in parts of about `largest`: tables of entities, requests.

        Columns are (entity, id) and (row, entity, second); no entity is in two parts.
        """
        parts = max(1, -(-count // largest))
        row, known = np.arange(len(self)), np.arange(len(self.ids))
        for part in range(parts):
            mine, here = known % parts == part, self.entity % parts == part
            if here.any():
                yield (
                    pa.table({"entity": known[mine], "id": self.ids.take(pa.array(known[mine]))}),
                    pa.table({"row": row[here], "entity": self.entity[here], "second": self.second[here]}),
                )
