"""Entries of a rules file that name an item or a category: pinned and boosted ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from trident.errors import ReleaseError
from trident.rules.values import FOREVER


@dataclass(frozen=True)
class Pin:
    """An item with a fixed place in the answer."""

    item: str
    position: int  # 1 is the first
    until: int = FOREVER  # unix seconds


@dataclass(frozen=True)
class Boost:
    """An item, or all items of a category, whose score is multiplied; one of the two names is empty."""

    factor: float
    item: str = ""
    category: str = ""
    until: int = FOREVER  # unix seconds


def check_entries(pinned: Iterable[Pin], boosted: Iterable[Boost]) -> None:
    """Raise ReleaseError when an item or a position is pinned twice, or an item or category is boosted twice."""
    pinned, boosted = tuple(pinned), tuple(boosted)
    _distinct("pinned", "item", [pin.item for pin in pinned])
    _distinct("pinned", "position", [pin.position for pin in pinned])
    _distinct("boosted", "item", [boost.item for boost in boosted if boost.item])
    _distinct("boosted", "category", [boost.category for boost in boosted if boost.category])


def _distinct(section: str, key: str, values: list) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ReleaseError(
                f"[[{section}]] {key}: expected each one once, got {value!r} {values.count(value)} times"
            )
