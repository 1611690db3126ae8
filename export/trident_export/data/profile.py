"""What the report draws: events per day, the long tail of items, the activity of users; all counted by the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import ibis
from ibis import _
from ibis.backends.duckdb import Backend
from ibis.expr.types import Table

from trident_export.data.checks import days_with_events

POINTS = 60  # of the curve of the long tail
SHARES = (0.01, 0.1, 0.5)  # of the items, for which the report names their share of the events
LATE = (0.9, 0.95, 0.98)  # shares of the items after which the curve often falls; the even points are far apart there
EPOCH = date(1970, 1, 1)


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


def profile(engine: Backend, clean: Table, quarantine: Table, items: int) -> Profile:
    """Count what the report draws; `items` is the number of different items in `clean`."""
    users = clean.group_by("user_id").agg(events=_.count())
    median = engine.to_pyarrow(users.agg(median=_.events.median())).to_pylist()[0]["median"]
    return Profile(
        **_days(engine, clean, quarantine),
        item_ranks=tuple(ItemRank(**row) for row in _rows(engine, item_ranks(clean, items))),
        user_activity=tuple(_bands(_rows(engine, activity(users)))),
        median_events_per_user=float(median or 0),
    )


def _days(engine: Backend, clean: Table, quarantine: Table) -> dict[str, Any]:
    kept, rejected = (
        {row["day"]: row["events"] for row in _rows(engine, days_with_events(t))} for t in (clean, quarantine)
    )
    inside = kept or rejected  # with nothing clean, all days there are
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


def activity(users: Table) -> Table:
    """Columns band, users: band b holds the users with 2^b to 2^(b + 1) − 1 events."""
    bands = users.group_by(band=_.events.log2().floor().cast("int64")).agg(users=_.count())
    return bands.order_by("band")


def _bands(rows: Iterable[Mapping[str, int]]) -> Iterable[ActivityBand]:
    return (ActivityBand(2 ** row["band"], 2 ** (row["band"] + 1) - 1, row["users"]) for row in rows)


def _rows(engine: Backend, table: Table) -> list[dict[str, Any]]:
    return engine.to_pyarrow(table).to_pylist()


def _iso(day: int) -> str:
    return (EPOCH + timedelta(days=day)).isoformat()
