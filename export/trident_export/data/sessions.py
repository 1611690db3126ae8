"""The synthetic marketplace in motion: who comes when, looks at what, and does what with it.

All of a batch is drawn at once in arrays. A session belongs to one user and has a theme, a category; its views come
seconds to minutes apart. What is shown follows popularity, trend, novelty and the user's favourites; whether it is
clicked follows `Truth.click_logit`, and likes, purchases and the rest follow clicks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import DEVICES
from trident_export.data.marketplace import CATEGORIES, FAVOURITES, Marketplace
from trident_export.data.schema import EVENT_TYPES
from trident_export.data.truth import DAY, sigmoid
from trident_export.data.words import REGIONS

VIEWS_PER_SESSION = 8
SHOWN = 4  # items that a user glances over for one that counts as a view
THEME, BY_POPULARITY = 0.6, 0.25  # shares of views; the rest are of any favourite category
VIEW, CLICK, LIKE, ADD, SHARE, PURCHASE = range(len(EVENT_TYPES))
DRAWN_BY_TASTE = np.float32(2.5)  # how much taste counts against luck among the items of a glance
TABLET, TV = DEVICES.index("tablet"), DEVICES.index("tv")

_HOURS = np.arange(24)
_PEAKS = ((7, 18), (12, 20), (20, 21), (23, 1))  # of each chronotype
HOUR_CDF = np.stack(
    [
        np.cumsum(p / p.sum())
        for p in (
            0.03 + sum(np.exp(-(((_HOURS - peak + 12) % 24 - 12) ** 2) / 6) for peak in peaks) for peaks in _PEAKS
        )
    ]
)
WEEKDAY = np.array([0.9, 0.9, 0.95, 1.0, 1.1, 1.3, 1.25])  # from Monday
UNTIL_NEXT = {LIKE: 30.0, ADD: 60.0, SHARE: 90.0, PURCHASE: 300.0}  # mean seconds after the click


@dataclass(frozen=True)
class Rows:
    """Events as arrays (n,): codes of users, items, types, devices and regions, unix milliseconds, NaN for no duration.

    A code of -1 is a null, and of `type` an unknown one. Users beyond the marketplace are bots.
    """

    user: np.ndarray
    item: np.ndarray
    time: np.ndarray
    type: np.ndarray
    duration: np.ndarray
    device: np.ndarray
    location: np.ndarray

    def __len__(self) -> int:
        return len(self.user)

    def take(self, rows: np.ndarray | slice) -> Rows:
        """The events at `rows`, which may also be a mask."""
        return Rows(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))

    @staticmethod
    def concat(parts: list[Rows]) -> Rows:
        """All events of `parts`, in order."""
        return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in Rows.__dataclass_fields__))


@dataclass(frozen=True)
class Day:
    """What is fixed for one day: when it starts, and cumulated weights of users and of items."""

    start: int  # unix seconds
    weekday: int  # 0 is Monday
    users: np.ndarray  # (U,) cumulated activity of those who are members by then
    items: np.ndarray  # (I + 1,) cumulated weight of the items that are published by then
    bounds: np.ndarray  # (categories + 1,) where each category starts in `items`

    @classmethod
    def at(cls, market: Marketplace, start: int) -> Day:
        """Weights for the day that starts at the unix second `start`."""
        weight = market.truth.prominence(start)
        active = np.where(market.member_since <= start, market.activity, 0.0)
        bounds = np.searchsorted(market.category, np.arange(len(CATEGORIES) + 1))
        return cls(start, (start // DAY + 3) % 7, np.cumsum(active), np.concatenate([[0.0], np.cumsum(weight)]), bounds)


def draw_sessions(rng: np.random.Generator, market: Marketplace, day: Day, sessions: int) -> Rows:
    """Draw the events of `sessions` sessions, session after session."""
    user = np.searchsorted(day.users, rng.random(sessions) * day.users[-1], side="right")
    theme = _favourite(rng, market, user)
    views = 1 + rng.poisson(VIEWS_PER_SESSION - 1, sessions)
    session = np.repeat(np.arange(sessions), views)
    time = _view_times(rng, market, day, user, session, views)
    device, location = _device(rng, market, day, user)[session], _location(rng, market, user)[session]
    item = _shown(rng, market, day, user[session], theme[session])
    allowed = _allowed(market, user[session], item, location)
    keep = np.flatnonzero(allowed)
    return _behave(rng, market, user[session][keep], item[keep], time[keep], device[keep], location[keep])


def _view_times(
    rng: np.random.Generator, market: Marketplace, day: Day, user: np.ndarray, session: np.ndarray, views: np.ndarray
) -> np.ndarray:
    hour = (rng.random((len(user), 1)) > HOUR_CDF[market.chronotype[user]]).sum(1).clip(0, 23)
    begin = (day.start + 3600 * (hour + rng.random(len(user)))) * 1000
    gaps = 2000 + rng.exponential(40_000, len(session))
    passed = np.cumsum(gaps)
    first = np.cumsum(views) - views
    return (begin[session] + passed - passed[first][session]).astype(np.int64)


def _device(rng: np.random.Generator, market: Marketplace, day: Day, user: np.ndarray) -> np.ndarray:
    usual = rng.random(len(user)) < (0.6 if day.weekday >= 5 else 0.8)
    other = rng.integers(TABLET, TV + 1, len(user)) if day.weekday >= 5 else rng.integers(0, len(DEVICES), len(user))
    return np.where(usual, market.device[user], other)


def _location(rng: np.random.Generator, market: Marketplace, user: np.ndarray) -> np.ndarray:
    travels = rng.random(len(user)) < 0.04
    return np.where(travels, rng.integers(0, len(REGIONS), len(user)), market.region[user])


def _favourite(rng: np.random.Generator, market: Marketplace, user: np.ndarray) -> np.ndarray:
    pick = (rng.random((len(user), 1)) > np.cumsum(market.shares[user], 1)).sum(1).clip(0, FAVOURITES - 1)
    return market.favourites[user, pick]


def _shown(rng: np.random.Generator, market: Marketplace, day: Day, user: np.ndarray, theme: np.ndarray) -> np.ndarray:
    """One item per view (n,): of SHOWN items by weight, the one nearest to the user's taste with some luck."""
    kind = rng.random(len(user))
    category = np.where(kind < THEME, theme, _favourite(rng, market, user))
    anything = (kind >= THEME) & (kind < THEME + BY_POPULARITY)
    low = np.where(anything, 0.0, day.items[day.bounds[category]])
    high = np.where(anything, day.items[-1], day.items[day.bounds[category + 1]])
    empty = high <= low
    low, high = np.where(empty, 0.0, low), np.where(empty, day.items[-1], high)
    weight = low[:, None] + rng.random((len(user), SHOWN)) * (high - low)[:, None]
    items = np.searchsorted(day.items, weight, side="right").clip(1, len(day.items) - 1) - 1
    taste = np.einsum("nd,nsd->ns", market.truth.user_vectors[user], market.truth.item_vectors[items])
    best = np.argmax(DRAWN_BY_TASTE * taste + rng.gumbel(size=taste.shape).astype(np.float32), 1)
    return np.where(anything, items[:, 0], items[np.arange(len(user)), best])


def _allowed(market: Marketplace, user: np.ndarray, item: np.ndarray, location: np.ndarray) -> np.ndarray:
    return (market.age[user] >= market.age_limit[item]) & ~market.blocked[item, location]


def _behave(
    rng: np.random.Generator,
    market: Marketplace,
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    device: np.ndarray,
    location: np.ndarray,
) -> Rows:
    """Views (n,) with the events that follow them, each view directly before its own."""
    n = len(user)
    logit = market.truth.click_logit(user, item, time // 1000, device)
    clicked = rng.random(n) < sigmoid(logit)
    misfit, free = market.truth.price_misfit(user, item), market.free[item]
    happens = {
        VIEW: np.ones(n, bool),
        CLICK: clicked,
        LIKE: clicked & (rng.random(n) < sigmoid(0.8 * logit - 1.5)),
        ADD: clicked & (rng.random(n) < 0.25 * np.exp(-misfit)),
        SHARE: clicked & (rng.random(n) < 0.04),
    }
    happens[PURCHASE] = happens[ADD] & ~free & (rng.random(n) < 0.6 * np.exp(-misfit))
    after = {VIEW: np.zeros(n), CLICK: 1000 + rng.exponential(4000, n)}
    after |= {kind: after[CLICK] + 1000 + rng.exponential(1000 * mean, n) for kind, mean in UNTIL_NEXT.items()}
    after[PURCHASE] += after[ADD]
    # A view lasts as long as the glance; a click as long as the item is watched or read.
    completion = rng.beta(1.2 + 3 * sigmoid(logit), 1.5)
    lasts = {VIEW: 0.5 + rng.exponential(3, n), CLICK: completion * 60 * market.minutes[item]}
    rows = np.concatenate([np.flatnonzero(happens[kind]) for kind in happens])
    kinds = np.concatenate([np.full(happens[kind].sum(), kind) for kind in happens])
    order = np.lexsort((kinds, rows))
    rows, kinds = rows[order], kinds[order]
    nothing = np.full(n, np.nan)
    moments = np.stack([time + after[kind].astype(np.int64) for kind in range(len(EVENT_TYPES))])
    durations = np.stack([lasts.get(kind, nothing) for kind in range(len(EVENT_TYPES))]).round(1)
    moment, duration = moments[kinds, rows], durations[kinds, rows]
    return Rows(user[rows], item[rows], moment, kinds, duration, device[rows], location[rows])
