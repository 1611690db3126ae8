"""How much of the exact answer the search finds: measured on a request now and then, off its path."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import numpy as np

from trident.contract import NO_ITEM
from trident.metrics import Histogram
from trident.search import ItemIndex

SHARES = (0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.98, 0.99, 0.995, 1.0)
RECALL = Histogram(
    "trident_index_recall",
    "Share of the nearest items, by reading the whole index, that a search found.",
    buckets=SHARES,
)
NICENESS = 19  # of the thread: requests come first


class RecallProbe:
    """Searches once more, through all lists, for one request every `period` seconds."""

    def __init__(self, index: ItemIndex, period: float) -> None:
        self._index = index
        self._period = period
        self._next = time.monotonic() + period
        self._thread: threading.Thread | None = None

    def offer(self, query: np.ndarray, allowed: np.ndarray, rows: np.ndarray) -> None:
        """Take a search that was just made: `query` (128,), the bitmap `allowed`, and the `rows` (K,) that it found."""
        if time.monotonic() < self._next or (self._thread and self._thread.is_alive()):
            return
        self._next = time.monotonic() + self._period
        given: Any = (query.copy(), allowed.copy(), rows.copy())
        self._thread = threading.Thread(target=self._measure, args=given, name="recall probe", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Wait for a search that is under way."""
        if self._thread:
            self._thread.join()

    def _measure(self, query: np.ndarray, allowed: np.ndarray, rows: np.ndarray) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        exact = self._index.read_everything(query, len(rows), allowed)
        RECALL.observe([recall(rows, exact)])


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """The share of `exact` (K,) rows that `found` (K,) holds, -1 pads; 1 where there is nothing to find."""
    wanted = exact[exact != NO_ITEM]
    return float(np.isin(wanted, found).mean()) if len(wanted) else 1.0
