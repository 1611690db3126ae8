"""Raw feature rows → numbers a network can eat, inside the network, so that serving sends raw rows.

Numeric columns are standardised with the mean and spread of the training rows and clipped, so that a row far outside
what training saw stays sane. Categorical columns are looked up in small learned tables whose entry 0 is "unknown".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from trident.errors import InvalidInput

CLIP = 4.0  # standard deviations
HEAVY_TAIL = 2.0  # skewness above which a non-negative column is taken as log(1 + x)


@dataclass(frozen=True)
class ColumnStatistics:
    """How C columns are encoded; learned from training rows."""

    numeric: np.ndarray  # (n,) int64 columns
    log: np.ndarray  # (n,) bool: log(1 + x) first
    mean: np.ndarray  # (n,) float32
    scale: np.ndarray  # (n,) float32, 1 / standard deviation
    missing: np.ndarray  # (m,) int64 positions in `numeric` that get an indicator
    categories: tuple[tuple[int, int], ...]  # (column, number of codes)

    @classmethod
    def fit(cls, rows: np.ndarray, categories: Mapping[int, int]) -> ColumnStatistics:
        """Learn from `rows` (n, C) float32 with NaNs; columns that never vary are left out."""
        wrong = {c: size for c, size in categories.items() if not 0 <= c < rows.shape[1] or size < 1}
        if wrong:
            expected = f"columns 0 to {rows.shape[1] - 1}, each with 1 code or more"
            raise InvalidInput(f"categorical columns: expected {expected}, got {wrong}")
        found = {c: _numeric(rows[:, c]) for c in range(rows.shape[1]) if c not in categories}
        kept = {c: s for c, s in found.items() if s is not None}
        holes = [i for i, c in enumerate(kept) if np.isnan(rows[:, c]).any()]
        return cls(
            numeric=np.array(list(kept), np.int64),
            log=np.array([s[0] for s in kept.values()], bool),
            mean=np.array([s[1] for s in kept.values()], np.float32),
            scale=np.array([1 / s[2] for s in kept.values()], np.float32),
            missing=np.array(holes, np.int64),
            categories=tuple(sorted(categories.items())),
        )

    @property
    def width(self) -> int:
        """Numbers per encoded row."""
        return len(self.numeric) + len(self.missing) + sum(embedding_width(size) for _, size in self.categories)


def _numeric(column: np.ndarray) -> tuple[bool, float, float] | None:
    """Return (log, mean, standard deviation) of one column, None when it does not vary."""
    values = column[np.isfinite(column)].astype(np.float64)
    if not len(values) or values.std() <= 1e-6 * max(1.0, abs(values.mean())):
        return None
    log = bool(values.min() >= 0 and _skewness(values) > HEAVY_TAIL)
    values = np.log1p(values) if log else values
    return log, float(values.mean()), float(values.std())


def _skewness(values: np.ndarray) -> float:
    centred = values - values.mean()
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)


def embedding_width(size: int) -> int:
    """Numbers per code of a categorical column with `size` codes."""
    return min(16, 1 + math.ceil(math.sqrt(size)))


class FeatureEncoder(nn.Module):
    """(B, C) raw rows with NaNs → (B, width) float32, finite for any input."""

    numeric: Tensor
    log: Tensor
    mean: Tensor
    scale: Tensor
    missing: Tensor

    def __init__(self, statistics: ColumnStatistics) -> None:
        super().__init__()
        for name in ("numeric", "log", "mean", "scale", "missing"):
            self.register_buffer(name, torch.from_numpy(getattr(statistics, name)))
        self.categories = statistics.categories
        self.tables = nn.ParameterList(_table(size) for _, size in self.categories)

    def forward(self, rows: Tensor) -> Tensor:
        """Encode raw rows."""
        values = rows[:, self.numeric]  # (B, n)
        missing = torch.isnan(values)
        values = torch.where(self.log, torch.log(1 + values.clamp(min=0)), values)
        values = ((values - self.mean) * self.scale).clamp(-CLIP, CLIP)
        parts = [torch.where(missing, 0.0, values), missing[:, self.missing].float()]
        for table, (column, size) in zip(self.tables, self.categories, strict=True):
            parts.append(functional.embedding(code_index(rows[:, column], size), table))
        return torch.cat(parts, dim=1)


def _table(size: int) -> Tensor:
    table = torch.randn(size + 1, embedding_width(size))
    table[0] = 0
    return table


def code_index(codes: Tensor, size: int) -> Tensor:
    """Table rows of float codes: code + 1, and 0 for NaN and whatever is outside 0 … size-1."""
    known = (codes >= 0) & (codes < size)
    return torch.where(known, codes + 1, 0.0).long()
