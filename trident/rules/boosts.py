"""Boosted items and categories: their score is multiplied until a date."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import NO_ITEM
from trident.items import ItemColumns
from trident.rules.config import Rules


@dataclass(frozen=True)
class Boosts:
    """The factors of a release's items, each with the unix second from which it does not hold any more."""

    rows: np.ndarray  # (b,) int64 boosted item rows, ascending
    row_factor: np.ndarray  # (b,) float64
    row_until: np.ndarray  # (b,) int64
    category_factor: np.ndarray  # (c + 1,) float64 per category code, the last for -1
    category_until: np.ndarray  # (c + 1,) int64

    @classmethod
    def of(cls, rules: Rules, items: ItemColumns) -> Boosts | None:
        """The boosts that name something in this release, or None."""
        singles = [boost for boost in rules.boosted if boost.item]
        rows = items.rows([boost.item for boost in singles])
        factors = np.array([boost.factor for boost in singles], np.float64)
        until = np.array([boost.until for boost in singles], np.int64)
        order = np.argsort(rows)
        order = order[rows[order] != NO_ITEM]
        by_name = {boost.category: (boost.factor, boost.until) for boost in rules.boosted if boost.category}
        table = [by_name.get(name, (1.0, 0)) for name in items.categories] + [(1.0, 0)]
        if not len(order) and all(factor == 1.0 for factor, _ in table):
            return None
        return cls(
            rows[order],
            factors[order],
            until[order],
            np.array([factor for factor, _ in table], np.float64),
            np.array([second for _, second in table], np.int64),
        )

    def factor(self, rows: np.ndarray, categories: np.ndarray, now: int) -> np.ndarray:
        """What the scores of `rows` (m,) of `categories` (m,) are multiplied with at `now`: (m,) float64."""
        factor = np.where(now < self.category_until[categories], self.category_factor[categories], 1.0)
        if len(self.rows):
            at = np.minimum(np.searchsorted(self.rows, rows), len(self.rows) - 1)
            hit = (self.rows[at] == rows) & (now < self.row_until[at])
            factor[hit] *= self.row_factor[at[hit]]
        return factor
