"""What the towers learn from: pairs of a user, as of that moment, and the item that the user picked then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from trident.contract import ITEM_FEATURES, USER_FEATURES
from trident.errors import InvalidInput


@dataclass(frozen=True)
class TowerData:
    """E positive pairs over N items.

    A user row and a history hold only what was known strictly before the pair's moment. Categorical columns hold codes
    0 … size-1 as floats; NaN, or any other number, is unknown. `item_rows` of training and validation are the same.
    """

    user_rows: np.ndarray  # (E, 40) float32, NaN unknown
    histories: np.ndarray  # (E, H) int64 item rows, -1 pads
    items: np.ndarray  # (E,) int64 item row of the positive
    item_rows: np.ndarray  # (N, 40) float32, NaN unknown
    weights: np.ndarray | None = None  # (E,) float32, how much a pair counts; None for 1 each
    user_categories: Mapping[int, int] = field(default_factory=dict)  # user column → number of codes
    item_categories: Mapping[int, int] = field(default_factory=dict)  # item column → number of codes

    def __post_init__(self) -> None:
        pairs, items = len(self.items), len(self.item_rows)
        _expect("user_rows", self.user_rows, (pairs, USER_FEATURES), np.float32)
        _expect("item_rows", self.item_rows, (items, ITEM_FEATURES), np.float32)
        _expect("items", self.items, (pairs,), np.int64)
        _expect("histories", self.histories, (pairs, *self.histories.shape[1:2]), np.int64)
        if self.weights is not None:
            _expect("weights", self.weights, (pairs,), np.float32)
            if not (np.isfinite(self.weights) & (self.weights >= 0)).all():
                raise _wrong("weights", "finite numbers of 0 or more", "others")
        if pairs and not 0 <= self.items.min() <= self.items.max() < items:
            raise _wrong("items", f"item rows from 0 to {items - 1}", f"{self.items.min()} to {self.items.max()}")
        if self.histories.size and self.histories.max() >= items:
            raise _wrong("histories", f"item rows below {items}", str(self.histories.max()))

    def __len__(self) -> int:
        return len(self.items)


def _expect(name: str, array: np.ndarray, shape: tuple[int, ...], dtype: type) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise _wrong(name, f"{list(shape)} {np.dtype(dtype)}", f"{list(array.shape)} {array.dtype}")


def _wrong(name: str, expected: str, got: str) -> InvalidInput:
    return InvalidInput(f"tower data: '{name}': expected {expected}, got {got}")
