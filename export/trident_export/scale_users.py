"""Users of a scale release: each likes one topic most, another of its category, and one from anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import NO_ITEM
from trident.features.registry import DAY
from trident.users import HISTORY, write_users
from trident_export.features import default_user_row
from trident_export.scale_rows import user_features
from trident_export.scale_vectors import Mixture
from trident_export.scale_words import REGIONS, SUBCATEGORIES, vocabulary

LIKED = (0.6, 0.25, 0.15)  # share of each topic in a history
LEAST_LIKED = 3  # items in a history
COLD, NO_AGE = 0.05, 0.05  # share of the users without a history, and of unknown age
ORDINARY = REGIONS - 2  # the last two regions are nobody's home: most of the catalogue is blocked there


@dataclass(frozen=True)
class ScaleUsers:
    """Users as `users/` has them; arrays (n, …)."""

    features: np.ndarray  # (n, 40) float32
    region: np.ndarray  # (n,) int32
    age: np.ndarray  # (n,) int32
    history: np.ndarray  # (n, 50) int64 item rows, -1 pads
    history_at: np.ndarray  # (n, 50) int64

    def write(self, folder: Path) -> None:
        """Write `users/`: u0, u1 and so on."""
        ids = [f"u{n}" for n in range(len(self.age))]
        write_users(folder, ids, default_user_row(vocabulary()), **vars(self))


def scale_users(mixture: Mixture, topics: np.ndarray, users: int, as_of: int) -> ScaleUsers:
    """Draw users among items of those topics (N,)."""
    rng = np.random.default_rng([mixture.seed, 6])
    liked = _favourites(mixture, np.unique(topics), users, rng)
    history = _histories(topics, liked, rng)
    history[rng.random(users) < COLD] = NO_ITEM
    at = as_of - 1 - np.cumsum(rng.integers(60, DAY, history.shape), axis=1)
    age = np.where(rng.random(users) < NO_AGE, -1, rng.integers(14, 75, users)).astype(np.int32)
    region = np.floor(rng.random(users) ** 2 * ORDINARY).astype(np.int32)
    features = user_features(age, region, mixture.category[liked], liked[:, 0] % SUBCATEGORIES, rng)
    return ScaleUsers(features, region, age, history, np.where(history >= 0, at, 0))


def _favourites(mixture: Mixture, there: np.ndarray, users: int, rng: np.random.Generator) -> np.ndarray:
    """Three topics of each user, of those that have items: (users, 3)."""
    share = mixture.share[there] / mixture.share[there].sum()
    first, third = rng.choice(there, (2, users), p=share)
    order = there[np.argsort(mixture.category[there], kind="stable")]
    of = mixture.category[order]
    start, stop = (np.searchsorted(of, mixture.category[first], side) for side in ("left", "right"))
    second = order[start + (rng.random(users) * (stop - start)).astype(np.int64)]
    return np.stack([first, second, third], axis=1)


def _histories(topics: np.ndarray, liked: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Items of each user's topics, of any number up to HISTORY, none twice: (users, 50) rows, -1 pads at the end."""
    order = np.argsort(topics, kind="stable")
    ends = np.cumsum(np.bincount(topics))
    sizes = np.bincount(topics)
    which = rng.choice(3, (len(liked), HISTORY), p=LIKED)
    topic = np.take_along_axis(liked, which, axis=1)
    rows = order[ends[topic] - 1 - (rng.random(topic.shape) * sizes[topic]).astype(np.int64)]
    length = rng.integers(LEAST_LIKED, HISTORY + 1, len(liked))
    rows[np.arange(HISTORY) >= length[:, None]] = NO_ITEM
    for row in rows:
        first = np.unique(row, return_index=True)[1]
        row[np.setdiff1d(np.arange(HISTORY), first)] = NO_ITEM
        row[:] = np.concatenate([row[row >= 0], row[row < 0]])
    return rows
