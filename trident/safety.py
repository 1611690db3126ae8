"""Which items a viewer may see: in stock, not blocked in the region, not flagged, no older viewer needed.

The search uses it as a bitmap over all items, the business rules use it again on the few items at the end. A viewer
of unknown age sees only items without an age limit, and one of unknown region only items that are blocked nowhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from trident.contract import UNKNOWN_REGION, UNLISTED_REGION
from trident.items import REGIONS_PER_WORD, ItemColumns


@dataclass(frozen=True)
class AllowedItems:
    """All items that one kind of viewer may see."""

    bitmap: np.ndarray  # (ceil(n / 8),) uint8, lowest bit first
    in_stock: int  # of all items
    region_allowed: int  # of those in stock
    safe: int  # of those allowed in the region


@dataclass(frozen=True)
class Safety:
    """The filters over the item columns; bitmaps are kept per region and age bracket."""

    items: ItemColumns
    _kept: dict[tuple[int, int], AllowedItems] = field(default_factory=dict)

    def allowed(self, region: int, age: int) -> AllowedItems:
        """What a viewer in `region`, a code as in `viewer_region`, of `age` years (-1 unknown) may see."""
        key = (region, int(np.searchsorted(self._limits, max(age, 0), side="right")))
        if key not in self._kept:
            self._kept[key] = self._count(region, age)
        return self._kept[key]

    def passes(self, rows: np.ndarray, region: int, age: int) -> np.ndarray:
        """Of `rows` (m,) int64, all of them valid rows: which may be shown, (m,) bool."""
        items = self.items
        safe = items.in_stock[rows] & ~items.flagged[rows] & (items.age_limit[rows] <= max(age, 0))
        return safe & ~self._blocked(items.blocked[rows], region)

    @cached_property
    def _limits(self) -> np.ndarray:
        return np.unique(self.items.age_limit)

    @staticmethod
    def _blocked(words: np.ndarray, region: int) -> np.ndarray:
        if region == UNKNOWN_REGION:
            return words.any(axis=1)
        if region == UNLISTED_REGION:
            return np.zeros(len(words), bool)
        word, bit = divmod(region, REGIONS_PER_WORD)
        return (words[:, word] >> np.uint64(bit) & np.uint64(1)).astype(bool)

    def _count(self, region: int, age: int) -> AllowedItems:
        items = self.items
        in_stock = np.asarray(items.in_stock)
        here = in_stock & ~self._blocked(items.blocked, region)
        safe = here & ~items.flagged & (items.age_limit <= max(age, 0))
        bitmap = np.packbits(safe, bitorder="little")
        return AllowedItems(bitmap, int(in_stock.sum()), int(here.sum()), int(safe.sum()))
