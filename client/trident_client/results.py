"""What a call returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class RecommendedItem:
    """One item and its predicted click probability after the freshness boost; NaN when nobody scored it."""

    item_id: str
    score: float


@dataclass(frozen=True)
class Recommendation:
    """The answer for one user.

    `items` are best first and without pads. `funnel` counts the items left after each step of
    `trident.contract.FUNNEL`, in that order. `degraded` holds reasons of `trident.contract.DEGRADED`; it is empty for
    a full answer, and `("client_fallback",)` with `release` 0 when the client's own list had to do.
    """

    user_id: str
    items: tuple[RecommendedItem, ...]
    release: int
    funnel: Mapping[str, int]
    degraded: tuple[str, ...]

    @property
    def item_ids(self) -> tuple[str, ...]:
        """The ids of the items, best first."""
        return tuple(item.item_id for item in self.items)
