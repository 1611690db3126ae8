"""Safety lists: items and categories that nobody is shown."""

from __future__ import annotations

import numpy as np

from trident.contract import NO_ITEM
from trident.errors import ReleaseError
from trident.items import ItemColumns
from trident.rules.config import Rules

NOBODY = 255  # an age limit that no viewer reaches
NAMED = 20  # categories in an error text


def age_limits(rules: Rules, items: ItemColumns) -> np.ndarray:
    """The age limit of each item, for items that the rules never show one that nobody reaches: (n,) uint8.

    Raises ReleaseError for a category that the release does not have: with a slip there, what is forbidden would be
    shown. An item that the release does not have cannot be shown, so an unknown one is none.
    """
    codes = [_code(name, items.categories) for name in rules.never_categories]
    rows = items.rows(rules.never_items)
    rows = rows[rows != NO_ITEM]
    if not codes and not len(rows):
        return items.age_limit
    limits = np.where(np.isin(items.category, codes), NOBODY, items.age_limit).astype(np.uint8)
    limits[rows] = NOBODY
    return limits


def _code(name: str, categories: tuple[str, ...]) -> int:
    if name in categories:
        return categories.index(name)
    known = ", ".join(categories[:NAMED]) + ", …" * (len(categories) > NAMED)
    raise ReleaseError(
        f"rules.toml: [safety] never_categories: expected categories of the release ({known}), got {name!r}"
    )
