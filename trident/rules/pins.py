"""Pinned items: fixed places in the answer, for everybody who may see the item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import NO_ITEM
from trident.items import ItemColumns
from trident.rules.config import Rules


@dataclass(frozen=True)
class Pins:
    """The pinned items that a release has, by place."""

    rows: np.ndarray  # (p,) int64
    places: np.ndarray  # (p,) int64, ascending, the first place is 0
    until: np.ndarray  # (p,) int64 unix seconds

    @classmethod
    def of(cls, rules: Rules, items: ItemColumns) -> Pins:
        """The pins that name an item of this release."""
        pins = sorted(rules.pinned, key=lambda pin: pin.position)
        rows = items.rows([pin.item for pin in pins])
        places = np.array([pin.position - 1 for pin in pins], np.int64)
        until = np.array([pin.until for pin in pins], np.int64)
        known = rows != NO_ITEM
        return cls(rows[known], places[known], until[known])

    def among(self, rows: np.ndarray, limit: int, now: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `rows` (m,) of the items with a place in an answer of `limit` at `now`, and these places."""
        if not len(self.rows):
            return self.rows, self.places
        holds = (self.until > now) & (self.places < limit)
        pinned, places = self.rows[holds], self.places[holds]
        position, pin = np.nonzero(rows[:, None] == pinned)
        order = np.argsort(pin)
        return position[order], places[pin[order]]


def placed(others: np.ndarray, pinned: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Put `pinned` (p,) among `others` (m,) at their ascending `places` (p,), or last where the answer is too short."""
    answer = others.tolist()
    for position, place in zip(pinned.tolist(), places.tolist(), strict=True):
        answer.insert(place, position)
    return np.array(answer, np.int64)
