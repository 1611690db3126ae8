"""The item columns that can change while a release serves, over the read-only ones that all processes share.

They are mapped copy-on-write: a changed item costs its process a page, the other millions stay shared. What changed is
kept in a log for a while, so that whoever counted or packed the columns before can follow without reading all of them.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from trident.items import ItemColumns

LOG = 65_536
"""Changes that are kept; who has not looked for longer reads the columns anew."""


@dataclass(frozen=True)
class Visibility:
    """What decides over m items, besides the viewer's age, who may see them."""

    in_stock: np.ndarray  # (m,) bool
    flagged: np.ndarray  # (m,) bool
    blocked: np.ndarray  # (m, words) uint64, as in the item columns
    elsewhere: np.ndarray  # (m,) bool: blocked in a region that the release does not list

    @classmethod
    def of(cls, items: ItemColumns) -> Visibility:
        """As the release says: read-only, for all n items."""
        return cls(items.in_stock, items.flagged, items.blocked, np.zeros(len(items), bool))

    @classmethod
    def over(cls, items: ItemColumns) -> Visibility:
        """The same, but what is put into it stays in this process and copies only the pages that it touches."""
        in_stock, flagged, blocked = (
            _copy_on_write(items.folder / f"{name}.npy") for name in ("in_stock", "flagged", "blocked")
        )
        return cls(
            in_stock, flagged, blocked, np.zeros(len(items), bool)
        )  # zeros take no memory until they are written

    @classmethod
    def empty(cls, m: int, words: int) -> Visibility:
        """Room for m items."""
        return cls(np.zeros(m, bool), np.zeros(m, bool), np.zeros((m, words), np.uint64), np.zeros(m, bool))

    def take(self, rows: np.ndarray) -> Visibility:
        """A copy for `rows` (m,)."""
        return Visibility(*(getattr(self, f.name)[rows] for f in fields(self)))

    def put(self, rows: np.ndarray, values: Visibility) -> None:
        """Write `values`, of m items, at `rows` (m,)."""
        for f in fields(self):
            getattr(self, f.name)[rows] = getattr(values, f.name)

    def differs(self, other: Visibility) -> np.ndarray:
        """Which of the m items differ: (m,) bool."""
        blocked = (self.blocked != other.blocked).any(axis=1)
        return (
            blocked
            | (self.in_stock != other.in_stock)
            | (self.flagged != other.flagged)
            | (self.elsewhere != other.elsewhere)
        )


@dataclass(frozen=True)
class Changes:
    """New values for distinct rows (m,) int64."""

    rows: np.ndarray
    values: Visibility


class LiveColumns:
    """The columns as they are now, with a log of what they were before the last changes.

    `end` counts the changes so far; the log reaches back to `start`. One thread may apply changes while another reads
    under `lock`.
    """

    def __init__(self, now: Visibility, capacity: int = LOG) -> None:
        self.now = now
        self.start = self.end = 0
        self.lock = threading.Lock()
        self._capacity = capacity
        self._rows = np.zeros(capacity, np.int64)
        self._before = Visibility.empty(capacity, now.blocked.shape[1])

    def apply(self, changes: Changes) -> None:
        """Write what differs, and log what it was."""
        with self.lock:
            before = self.now.take(changes.rows)
            changed = np.flatnonzero(before.differs(changes.values))
            rows = changes.rows[changed]
            self.now.put(rows, changes.values.take(changed))
            self._note(rows[-self._capacity :], before.take(changed[-self._capacity :]), len(rows))

    def _note(self, rows: np.ndarray, before: Visibility, count: int) -> None:
        self.end += count
        self.start = max(self.start, self.end - self._capacity)
        places = np.arange(self.end - len(rows), self.end) % self._capacity
        self._rows[places] = rows
        self._before.put(places, before)

    def since(self, position: int) -> Changes:
        """The rows that changed since `end` was `position`, not before `start`, with the values they had then."""
        places = np.arange(position, self.end) % self._capacity
        rows, first = np.unique(self._rows[places], return_index=True)
        return Changes(rows, self._before.take(places[first]))


def _copy_on_write(path: Path) -> np.ndarray:
    return np.asarray(np.load(path, mmap_mode="c"))
