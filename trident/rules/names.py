"""Names in the rules that are no names of the release that they go with."""

from __future__ import annotations

from collections.abc import Iterable

from trident.contract import NO_ITEM
from trident.items import ItemColumns
from trident.rules.config import Rules


def unknown_names(rules: Rules, items: ItemColumns) -> list[str]:
    """Warnings about items and categories that the release does not have; such an entry has no effect.

    They are no errors: items come and go, and one that the release does not have cannot be shown.
    """
    categories = set(items.categories)
    boosted = [boost.category for boost in rules.boosted if boost.category]
    return [
        *_warnings("[diversity] max_in", "category", [name for name in rules.max_in if name not in categories]),
        *_warnings("[[boosted]] category", "category", [name for name in boosted if name not in categories]),
        *_warnings("[[boosted]] item", "item", _strangers([b.item for b in rules.boosted if b.item], items)),
        *_warnings("[[pinned]] item", "item", _strangers([pin.item for pin in rules.pinned], items)),
        *_warnings("[safety] never_items", "item", _strangers(rules.never_items, items)),
    ]


def _strangers(ids: Iterable[str], items: ItemColumns) -> list[str]:
    ids = list(ids)
    return [name for name, row in zip(ids, items.rows(ids).tolist(), strict=True) if row == NO_ITEM]


def _warnings(key: str, what: str, names: list[str]) -> list[str]:
    return [f"rules.toml: {key}: no {what} of this release, so without effect: {name}" for name in names]
