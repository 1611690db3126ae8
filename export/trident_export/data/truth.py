"""What a synthetic dataset knows about itself: who likes what and why, and which defects were planted.

The probability that a user clicks on an item that is looked at is the logistic function of

    BIAS + TASTE · (user vector · item vector)      both of unit length
         + quality of the item
         − min(PRICE_MISFIT, (log price − log of the user's usual price)² / 2 / PRICE_WIDTH²)     0 for free items
         + FRESH · e^(−age in days / FRESH_DAYS)
         + LANGUAGE when the item is in the user's language
         + DEVICE_LENGTH[device] · (log length in minutes − LOG_LENGTH)

What a user gets to see is another matter: that follows popularity, trend, novelty and favourite categories too. So a
list of the likeliest clicks is the best list to show, and not the best guess at the clicks of a log: for that see
`trident_export.data.exposure`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np

from trident.contract import DEVICES
from trident.errors import InvalidInput

BIAS, TASTE = -3.6, 5.0
PRICE_MISFIT, PRICE_WIDTH = 1.5, 0.6
FRESH, FRESH_DAYS = 0.8, 10.0
LANGUAGE = 0.4
LOG_LENGTH = 3.0
DEVICE_LENGTH = np.array([-0.30, 0.0, 0.10, 0.30], np.float32)  # long items are for tablet and television
NOVELTY, NOVELTY_DAYS = 3.0, 7.0  # a new item is seen four times as often, for some days
DAY = 86_400


@dataclass(frozen=True)
class Truth:
    """The hidden state of a synthetic marketplace of U users and I items; user "u1" is row 0, item "i1" is row 0.

    user_vectors (U, 16) and item_vectors (I, 16) float32 of unit length, user_log_price (U,), item_log_price (I,) NaN
    when free, quality (I,), log_length (I,) of minutes, user_language (U,) and item_language (I,) codes, published_at
    (I,) unix seconds; category (I,) code, ascending, popularity (I,) weight and trend (I,) its growth a day; favourites
    (U, F) category codes with shares (U, F) that sum to 1; start and end of the events in unix seconds,
    planted_reasons and planted_counts (R,).
    """

    user_vectors: np.ndarray
    item_vectors: np.ndarray
    user_log_price: np.ndarray
    item_log_price: np.ndarray
    quality: np.ndarray
    log_length: np.ndarray
    user_language: np.ndarray
    item_language: np.ndarray
    published_at: np.ndarray
    category: np.ndarray
    popularity: np.ndarray
    trend: np.ndarray
    favourites: np.ndarray
    shares: np.ndarray
    start: int
    end: int
    planted_reasons: np.ndarray
    planted_counts: np.ndarray

    @cached_property
    def planted(self) -> dict[str, int]:
        """How many rows were planted for each reason of validation."""
        return dict(zip(self.planted_reasons.tolist(), self.planted_counts.tolist(), strict=True))

    @classmethod
    def read(cls, path: Path) -> Truth:
        """Read `truth.npz`."""
        with np.load(path) as stored:
            values = {f.name: stored[f.name] for f in fields(cls)}
        return cls(**{**values, "start": int(values["start"]), "end": int(values["end"])})

    def write(self, path: Path) -> None:
        """Write `truth.npz`."""
        np.savez(path, **{f.name: getattr(self, f.name) for f in fields(self)})

    def users(self, ids: Sequence[str]) -> np.ndarray:
        """Rows of user ids, (n,) int64; InvalidInput for one that is not of this marketplace."""
        return _rows(ids, "u", len(self.user_vectors))

    def items(self, ids: Sequence[str]) -> np.ndarray:
        """Rows of item ids, (n,) int64; InvalidInput for one that is not of this marketplace."""
        return _rows(ids, "i", len(self.item_vectors))

    def click_logit(
        self, users: np.ndarray, items: np.ndarray, at: np.ndarray | int, device: np.ndarray | int
    ) -> np.ndarray:
        """The formula above before the logistic function, for rows of users and items that broadcast together."""
        taste = np.einsum("...d,...d->...", self.user_vectors[users], self.item_vectors[items])
        age_days = np.maximum(0, (at - self.published_at[items]) / DAY).astype(np.float32)
        language = np.float32(LANGUAGE) * (self.user_language[users] == self.item_language[items])
        length = DEVICE_LENGTH[device] * (self.log_length[items] - np.float32(LOG_LENGTH))
        fresh = np.float32(FRESH) * np.exp(-age_days / np.float32(FRESH_DAYS))
        misfit = self.price_misfit(users, items)
        return np.float32(BIAS) + np.float32(TASTE) * taste + self.quality[items] - misfit + fresh + language + length

    def prominence(self, at: int) -> np.ndarray:
        """How much each item is to be seen at a unix second, whoever looks: (I,) float64, 0 before it is published."""
        age_days = (at - self.published_at) / DAY
        novelty = 1 + NOVELTY * np.exp(-np.maximum(age_days, 0) / NOVELTY_DAYS)
        grown = np.exp(self.trend * ((at - self.start) / DAY))
        return np.where(age_days >= 0, self.popularity * grown * novelty, 0.0)

    def price_misfit(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """How badly prices fit the users: 0 for free items and fitting prices, at most PRICE_MISFIT."""
        apart = (self.item_log_price[items] - self.user_log_price[users]) / np.float32(PRICE_WIDTH)
        return np.nan_to_num(np.minimum(np.float32(PRICE_MISFIT), apart * apart / 2), nan=0.0)


def affinity(
    truth: Truth | Path,
    users: Sequence[str],
    items: Sequence[str] | None = None,
    *,
    at: int | None = None,
    device: str = "mobile",
) -> np.ndarray:
    """The true click probability of each user for each item: (len(users), len(items)) float32.

    `items` defaults to the whole catalogue in the order i1, i2, …; `at` is in unix seconds and defaults to the end of
    the events. It knows nothing of stock, flags, age limits and blocked regions. Raises InvalidInput for an unknown id.
    """
    known = Truth.read(truth) if isinstance(truth, Path) else truth
    rows = known.users(users)
    columns = np.arange(len(known.item_vectors)) if items is None else known.items(items)
    time = known.end if at is None else at
    return np.stack([sigmoid(known.click_logit(row, columns, time, DEVICES.index(device))) for row in rows[:, None]])


def sigmoid(logit: np.ndarray) -> np.ndarray:
    """The logistic function, float32."""
    return (1 / (1 + np.exp(-logit))).astype(np.float32)


def _rows(ids: Sequence[str], prefix: str, count: int) -> np.ndarray:
    rows = [int(i[1:]) - 1 if i.startswith(prefix) and i[1:].isdigit() else -1 for i in ids]
    for name, row in zip(ids, rows, strict=True):
        if not 0 <= row < count:
            raise InvalidInput(f"truth: expected ids {prefix}1 to {prefix}{count}, got {name!r}")
    return np.array(rows, np.int64).reshape(len(rows))
