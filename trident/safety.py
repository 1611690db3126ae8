"""Which items a viewer may see: in stock, not blocked in the region, not flagged, no older viewer needed.

The search uses it as a bitmap over all items, the business rules use it again on the few items at the end. A viewer
of unknown age sees only items without an age limit, and one of unknown region only items that are blocked nowhere.
Changes of items that Redis tells of count from the next question on; a bitmap changes only when it is asked for, never
under a search.
"""

from __future__ import annotations

import itertools
import weakref
from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np

from trident.contract import UNKNOWN_REGION, UNLISTED_REGION
from trident.items import REGIONS_PER_WORD, ItemColumns
from trident.live.columns import LiveColumns, Visibility
from trident.live.follower import Follower
from trident.release import Release
from trident.settings import Settings

compiled = numba.njit(cache=True, nogil=True)

ALL_REGIONS = np.iinfo(np.uint64).max


@dataclass(frozen=True)
class AllowedItems:
    """All items that one kind of viewer may see."""

    bitmap: np.ndarray  # (ceil(n / 8),) uint8, lowest bit first
    in_stock: int  # of all items
    region_allowed: int  # of those in stock
    safe: int  # of those allowed in the region
    as_of: int = 0  # changes of items that this has seen


class Safety:
    """The filters over the item columns; bitmaps are kept per region and age bracket, and follow what changes."""

    def __init__(self, items: ItemColumns, age_limit: np.ndarray | None = None) -> None:
        """`age_limit` (n,) uint8 stands in for the column of the items, see `trident.rules.never`."""
        self.items = items
        self.age_limit = items.age_limit if age_limit is None else age_limit
        self._columns = LiveColumns(Visibility.over(items))
        self._follower: Follower | None = None
        self._kept: dict[tuple[int, int], AllowedItems] = {}
        self.passes(np.empty(0, np.int64), 0, 0)  # compiles: no request shall wait for that

    @classmethod
    def live(cls, release: Release, settings: Settings, age_limit: np.ndarray | None = None) -> Safety:
        """The filters of `release` that follow the item changes in the Redis of `settings` until `close`."""
        safety = cls(release.items, age_limit)
        safety._follower = Follower.of(release, safety._columns, settings)
        weakref.finalize(safety, safety._follower.stop_soon)  # when nobody closed it
        return safety

    def close(self) -> None:
        """Follow no longer."""
        if self._follower:
            self._follower.stop()

    @property
    def stale(self) -> bool:
        """Whether changes may be missing for longer than the settings allow."""
        return self._follower is not None and self._follower.stale

    @property
    def lag_seconds(self) -> float:
        """How long ago all changes were known: 0 without any to follow, infinite when they never were."""
        return self._follower.lag_seconds if self._follower else 0.0

    @property
    def applied(self) -> int:
        """Changes of items so far; one that says what is so already does not count."""
        return self._columns.end

    def allowed(self, region: int, age: int) -> AllowedItems:
        """What a viewer in `region`, a code as in `viewer_region`, of `age` years (-1 unknown) may see."""
        key = (region, int(np.searchsorted(self._limits, max(age, 0), side="right")))
        with self._columns.lock:
            kept = self._kept.get(key)
            if kept is None or kept.as_of < self._columns.start:
                kept = self._count(region, age)
            elif kept.as_of < self._columns.end:
                kept = self._follow(kept, region, age)
        self._kept[key] = kept
        return kept

    def passes(self, rows: np.ndarray, region: int, age: int) -> np.ndarray:
        """Of `rows` (m,) int64, all of them valid rows: which may be shown, (m,) bool."""
        return self.steps(rows, region, age)[-1]

    def steps(self, rows: np.ndarray, region: int, age: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Of `rows` (m,): which are in stock, which of them allowed in the region, which of those safe: (m,) bool."""
        with self._columns.lock:
            return _steps(self._columns.now, rows, self.age_limit[rows], region, age)

    def look(self, rows: np.ndarray) -> Visibility:
        """What holds of `rows` (m,) now."""
        with self._columns.lock:
            return self._columns.now.take(rows)

    @cached_property
    def _limits(self) -> np.ndarray:
        return np.unique(self.age_limit)

    def prepare(self, most: int) -> None:
        """Make the bitmaps of all kinds of viewers, `most` of them at most, so that no request waits for one."""
        regions = [UNKNOWN_REGION, UNLISTED_REGION, *range(len(self.items.popular) - 1)]
        ages = [-1, *self._limits[self._limits > 0].tolist()]
        for region, age in list(itertools.product(regions, ages))[:most]:
            self.allowed(region, age)

    def _count(self, region: int, age: int) -> AllowedItems:
        bitmap, now = np.empty(-(-len(self.items) // 8), np.uint8), self._columns.now
        columns = (now.in_stock, now.flagged, now.blocked, now.elsewhere, self.age_limit)
        in_stock, here, safe = _pack(bitmap, *columns, *_regions(now, region), max(age, 0))
        return AllowedItems(bitmap, in_stock, here, safe, self._columns.end)

    def _follow(self, kept: AllowedItems, region: int, age: int) -> AllowedItems:
        """Bring a bitmap and its counts up to date, for the rows that changed alone."""
        changed = self._columns.since(kept.as_of)
        limits = self.age_limit[changed.rows]
        before = _steps(changed.values, np.arange(len(limits)), limits, region, age)
        now = _steps(self._columns.now, changed.rows, limits, region, age)
        set_bits(kept.bitmap, changed.rows, now[-1])
        in_stock, here, safe = (_total(n) - _total(b) for n, b in zip(now, before, strict=True))
        return AllowedItems(
            kept.bitmap, kept.in_stock + in_stock, kept.region_allowed + here, kept.safe + safe, self._columns.end
        )


def _steps(
    items: Visibility, rows: np.ndarray, limits: np.ndarray, region: int, age: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of `rows` (m,) of `items`, with age `limits` (m,): which are in stock, which of them allowed in the region, which
    of those safe: (m,) bool each.
    """
    columns = (items.in_stock, items.flagged, items.blocked, items.elsewhere)
    return _look(rows, limits, *columns, *_regions(items, region), max(age, 0))


def _regions(items: Visibility, region: int) -> tuple[np.ndarray, bool]:
    """Where an item must not be blocked for a viewer in `region`: (words,) uint64, and whether elsewhere."""
    words = np.full(items.blocked.shape[1], ALL_REGIONS if region == UNKNOWN_REGION else 0, np.uint64)
    if region >= 0:
        word, bit = divmod(region, REGIONS_PER_WORD)
        words[word] = 1 << bit
    return words, region < 0


@compiled
def _look(rows, limits, in_stock, flagged, blocked, elsewhere, words, not_elsewhere, age):
    """The masks of `_steps`, column by column: so the processor waits for many rows at a time."""
    stocked = in_stock[rows]
    here = stocked.copy()
    if not_elsewhere:
        here &= ~elsewhere[rows]
    for word in range(len(words)):
        here &= blocked[rows, word] & words[word] == 0
    return stocked, here, here & ~flagged[rows] & (limits <= age)


@compiled
def _pack(bitmap, in_stock, flagged, blocked, elsewhere, age_limit, words, not_elsewhere, age):
    """Pack what `_steps` says of all items, in one pass over the columns; returns its three counts."""
    stocked = here = safe = 0
    for byte in range(len(bitmap)):
        bits = 0
        for row in range(8 * byte, min(8 * byte + 8, len(in_stock))):
            allowed = not (not_elsewhere and elsewhere[row])
            for word in range(len(words)):
                allowed &= blocked[row, word] & words[word] == 0
            allowed &= in_stock[row]
            shown = allowed & (not flagged[row]) & (age_limit[row] <= age)
            stocked, here, safe = stocked + in_stock[row], here + allowed, safe + shown
            bits |= shown << (row & 7)
        bitmap[byte] = bits
    return stocked, here, safe


def set_bits(bitmap: np.ndarray, rows: np.ndarray, values: np.ndarray) -> None:
    """Set the bits of distinct `rows` (m,) in a bitmap, lowest bit first, to `values` (m,) bool."""
    where, masks = rows >> 3, (1 << (rows & 7)).astype(np.uint8)
    np.bitwise_or.at(bitmap, where, masks)
    np.bitwise_xor.at(bitmap, where[~values], masks[~values])


def _total(mask: np.ndarray) -> int:
    return int(mask.sum())
