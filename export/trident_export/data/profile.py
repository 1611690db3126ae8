"""What the report draws: events per day, the long tail of items, the activity of users; all counted by the engine."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from typing import Any

import ibis
from ibis import _
from ibis.backends import BaseBackend
from ibis.expr.types import Table

from trident_export.data.checks import days_with_events

POINTS = 60  # of the curve of the long tail
SHARES = (0.01, 0.1, 0.5)  # of the items, for which the report names their share of the events
LATE = (0.9, 0.95, 0.98)  # shares of the items after which the curve often falls; the even points are far apart there
EPOCH = date(1970, 1, 1)
CALENDAR = (date.min - EPOCH).days, (date.max - EPOCH).days


@dataclass(frozen=True)
class DayCounts:
    """Events of one day (UTC, ISO 8601)."""

    day: str
    kept: int
    rejected: int


@dataclass(frozen=True)
class ItemRank:
    """The item with the `rank`-th most clean events, from 1, and the share of all clean events up to it."""

    rank: int
    events: int
    share: float


@dataclass(frozen=True)
class ActivityBand:
    """How many users have from `least` to `most` clean events."""

    least: int
    most: int
    users: int


@dataclass(frozen=True)
class Profile:
    """Days from the first to the newest clean event, without empty ones; rejected events outside of them by where."""

    days: tuple[DayCounts, ...] = ()
    earlier: int = 0
    later: int = 0
    undated: int = 0
    item_ranks: tuple[ItemRank, ...] = ()  # POINTS ranks, spaced evenly on a log scale, and those of SHARES, LATE
    user_activity: tuple[ActivityBand, ...] = ()  # 1, 2–3, 4–7, 8–15 and so on; bands without users are left out
    median_events_per_user: float = 0.0

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Profile:
        """The profile from its JSON."""
        parts = {"days": DayCounts, "item_ranks": ItemRank, "user_activity": ActivityBand}
        lists = {name: tuple(part(**row) for row in content[name]) for name, part in parts.items()}
        return cls(**{**content, **lists})


def profile(engine: BaseBackend, clean: Table, quarantine: Table, items: int) -> Profile:
    """Count what the report draws; `items` is the number of different items in `clean`."""
    active = {row["events"]: row["users"] for row in _rows(engine, activity(clean))}
    return Profile(
        **_days(engine, clean, quarantine),
        item_ranks=tuple(ItemRank(**row) for row in _rows(engine, item_ranks(clean, items))),
        user_activity=activity_bands(active),
        median_events_per_user=median(active),
    )


def _days(engine: BaseBackend, clean: Table, quarantine: Table) -> dict[str, Any]:
    kept, rejected = (
        {row["day"]: row["events"] for row in _rows(engine, days_with_events(t))} for t in (clean, quarantine)
    )
    inside = [d for d in kept or rejected if CALENDAR[0] <= d <= CALENDAR[1]]  # with nothing clean, all days there are
    first, last = min(inside, default=0), max(inside, default=0)
    days = sorted(d for d in {*kept, *rejected} if first <= d <= last)
    return {
        "days": tuple(DayCounts(_iso(d), kept.get(d, 0), rejected.get(d, 0)) for d in days),
        "earlier": sum(n for d, n in rejected.items() if d < first),
        "later": sum(n for d, n in rejected.items() if d > last),
        "undated": engine.to_pyarrow(quarantine.filter(_.timestamp.isnull()).count()).as_py(),
    }


def item_ranks(clean: Table, items: int) -> Table:
    """Columns rank, events, share: the items at some ranks, the one with the most events first."""
    counts = clean.group_by("item_id").agg(events=_.count())
    order = ibis.window(order_by=[ibis.desc("events"), "item_id"], preceding=None, following=0)
    ranked = counts.mutate(rank=ibis.row_number().over(order) + 1, upto=_.events.sum().over(order), all=_.events.sum())
    chosen = ranked.filter(_["rank"].isin(tail_ranks(items))).order_by("rank")
    return chosen.select("rank", "events", share=chosen.upto / chosen["all"])


def tail_ranks(items: int) -> list[int]:
    """The ranks among `items` that the report shows, ascending."""
    even = (round(items ** (k / (POINTS - 1))) for k in range(POINTS))
    return sorted({r for r in (*even, *(share_rank(share, items) for share in (*SHARES, *LATE))) if 1 <= r <= items})


def share_rank(share: float, items: int) -> int:
    """The rank of the last of the `share` most frequent items."""
    return max(1, round(share * items))


def activity(clean: Table) -> Table:
    """Columns events, users: how many users have exactly so many events; far fewer rows than users."""
    each = clean.group_by("user_id").agg(events=_.count())
    return each.group_by("events").agg(users=_.count()).order_by("events")


def activity_bands(active: Mapping[int, int]) -> tuple[ActivityBand, ...]:
    """Users in bands that double, from users by their number of events."""
    bands: dict[int, int] = {}
    for events, users in sorted(active.items()):
        least = 1 << (events.bit_length() - 1)
        bands[least] = bands.get(least, 0) + users
    return tuple(ActivityBand(least, 2 * least - 1, users) for least, users in bands.items())


def median(active: Mapping[int, int]) -> float:
    """The median number of events, from users by their number of events; 0 without users."""
    events = sorted(active)
    upto = list(accumulate(active[n] for n in events))
    if not upto:
        return 0.0
    middle = ((upto[-1] - 1) // 2, upto[-1] // 2)
    return sum(events[bisect_right(upto, place)] for place in middle) / 2


def _rows(engine: BaseBackend, table: Table) -> list[dict[str, Any]]:
    return engine.to_pyarrow(table).to_pylist()


def _iso(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()
