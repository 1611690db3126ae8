"""Planted defects with known counts: rows that validation must reject, beside clean rows that it must keep.

A defect is an additional row: a copy of a clean row, each of another one, with one thing changed (in a duplicate,
nothing), or a row of a bot. No clean row is altered.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident_export.data.marketplace import Marketplace
from trident_export.data.sessions import VIEW, Rows
from trident_export.data.truth import DAY

SHARES = {
    "missing_user": 0.001,
    "missing_item": 0.001,
    "missing_time": 0.001,
    "duplicate": 0.005,
    "unknown_event_type": 0.0005,
    "future": 0.0005,
    "too_old": 0.0005,
    "negative_duration": 0.0005,
    "absurd_duration": 0.0002,
}
"""Reason of validation → share of all rows that is planted for it."""

BOTS = {"bot_volume": 1_200, "bot_rhythm": 600, "bot_repetition": 240}
"""Reason of validation → events of one such bot."""

ROWS_PER_BOT = 300_000  # one bot of each kind for so many rows
LEAST_ROWS_FOR_BOTS = 50_000
FUTURE_DAYS, OLD_DAYS = (60, 425), (760, 1_500)  # after and before the end
NO_TIME = np.iinfo(np.int64).min
UNKNOWN_TYPE = -1
PATTERN = 6  # steps that a repeating bot repeats


@dataclass(frozen=True)
class Plan:
    """Which clean row (its number, counted through the whole dataset) is copied for which reason, and how many bots."""

    sources: np.ndarray  # (d,) ascending
    reasons: np.ndarray  # (d,) index into SHARES
    bots: int  # of each kind

    @classmethod
    def draw(cls, rng: np.random.Generator, rows: int) -> Plan:
        """Plan defects such that they and the clean rows are `rows` rows."""
        bots = 0 if rows < LEAST_ROWS_FOR_BOTS else max(1, round(rows / ROWS_PER_BOT))
        counts = np.array([max(1, round(share * rows)) for share in SHARES.values()])
        clean = rows - int(counts.sum()) - bots * sum(BOTS.values())
        sources = rng.choice(clean, int(counts.sum()), replace=False)
        order = np.argsort(sources)
        return cls(sources[order], np.repeat(np.arange(len(counts)), counts)[order], bots)

    @property
    def rows(self) -> int:
        """How many rows the defects are."""
        return len(self.sources) + self.bots * sum(BOTS.values())

    @property
    def counts(self) -> dict[str, int]:
        """Rows for each reason."""
        copies = np.bincount(self.reasons, minlength=len(SHARES))
        return dict(zip(SHARES, copies.tolist(), strict=True)) | {kind: self.bots * n for kind, n in BOTS.items()}


NO_DEFECTS = Plan(np.array([], np.int64), np.array([], np.int64), 0)


def damaged_copies(rng: np.random.Generator, plan: Plan, first: int, clean: Rows, end: int) -> Rows:
    """The damaged copies of `clean`, whose rows are numbers `first` and up of the dataset; `end` is in unix seconds."""
    low, high = np.searchsorted(plan.sources, (first, first + len(clean)))
    copies, reason = clean.take(plan.sources[low:high] - first), plan.reasons[low:high]
    n = len(copies)
    is_a = {name: reason == code for code, name in enumerate(SHARES)}
    time, duration = copies.time.copy(), copies.duration.copy()
    time[is_a["missing_time"]] = NO_TIME
    for name, (low, high), sign in (("future", FUTURE_DAYS, 1), ("too_old", OLD_DAYS, -1)):
        moved = end * 1000 + sign * (rng.uniform(low, high, n) * DAY * 1000).astype(np.int64)
        time[is_a[name]] = moved[is_a[name]]
    duration[is_a["negative_duration"]] = -rng.uniform(1, 500, n).round(1)[is_a["negative_duration"]]
    duration[is_a["absurd_duration"]] = rng.uniform(2 * DAY, 30 * DAY, n).round()[is_a["absurd_duration"]]
    user = np.where(is_a["missing_user"], -1, copies.user)
    item = np.where(is_a["missing_item"], -1, copies.item)
    kind = np.where(is_a["unknown_event_type"], UNKNOWN_TYPE, copies.type)
    return Rows(user, item, time, kind, duration, copies.device, copies.location)


def bot_rows(rng: np.random.Generator, market: Marketplace, bot: int, code: int) -> Rows:
    """The events of bot number `bot`, one of each kind in turn, under the user code `code`."""
    kind = list(BOTS)[bot % len(BOTS)]
    n = BOTS[kind]
    days = (market.truth.end - market.truth.start) // DAY
    day = market.truth.start + int(rng.integers(0, days)) * DAY
    item, time = {"bot_volume": _volume, "bot_rhythm": _rhythm, "bot_repetition": _repetition}[kind](rng, market, n)
    first = np.zeros(n, np.int64)  # device and region
    return Rows(np.full(n, code), item, day * 1000 + time, np.full(n, VIEW), np.full(n, np.nan), first, first)


def _volume(rng: np.random.Generator, market: Marketplace, n: int) -> tuple[np.ndarray, np.ndarray]:
    time = np.sort(rng.choice(DAY * 1000, n, replace=False))
    return rng.integers(0, len(market.category), n), time


def _rhythm(rng: np.random.Generator, market: Marketplace, n: int) -> tuple[np.ndarray, np.ndarray]:
    begin = rng.integers(0, (DAY - 2 * n) * 1000)
    return rng.integers(0, len(market.category), n), begin + np.arange(n) * 1000 + rng.integers(-50, 50, n)


def _repetition(rng: np.random.Generator, market: Marketplace, n: int) -> tuple[np.ndarray, np.ndarray]:
    items, gaps = rng.integers(0, len(market.category), PATTERN), rng.integers(10, 200, PATTERN)
    times = np.cumsum(np.tile(gaps, n // PATTERN)) * 1000
    return np.tile(items, n // PATTERN), times + rng.integers(0, DAY * 1000 - int(times[-1]))
