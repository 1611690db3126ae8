"""Item rows as of a time."""

from __future__ import annotations

import ibis
from ibis.expr.types import NumericValue, Table

from trident.features.registry import APPROVALS
from trident_export.data.schema import EVENT_TYPES
from trident_export.features.asof import as_of, within
from trident_export.features.tables import MICRO, MILLI, PRICE_UNITS, one, only
from trident_export.features.users import days, ratio

SUMS = (
    *("events", *EVENT_TYPES, "viewer", "approval", "revenue", "completed", "completion", "watch", "watched"),
    *("viewer_age", "aged", "weekend", "mobile", "known_device", "hour_sin", "hour_cos"),
)
TOTALS = {**dict.fromkeys(SUMS, "sum"), "last": "max"}
WINDOWED = ("view_1d", "view_7d", "view_14d", "click_1d", "click_7d", "purchase_7d", "revenue_7d")


def item_features(events: Table, users: Table, items: Table, entities: Table, requests: Table) -> Table:
    """The item features of each request: the column `row` and one column per feature, null where it is unknown.

    Tables as in `tables` and `requests`; `entities` maps entity to item id.
    """
    profile = items.join(entities, items.item_id == entities.id).drop("item_id", "id")
    mine = _events_of(events, profile, entities)
    table = as_of(_ticks(mine, users), requests, TOTALS).left_join(profile, "entity").drop("entity_right")
    table = table.left_join(within(mine, requests, WINDOWED), "row").drop("row_right")
    columns = {**_profile(table), **_totals(table), **_rates(table), **_trends(table), **_audience(table)}
    return table.select("row", **{f"item_{name}": column for name, column in columns.items()})


def _events_of(events: Table, profile: Table, entities: Table) -> Table:
    """The events of the wanted items, with what the windows add up."""
    t = events.join(entities, events.item_id == entities.id).drop("id", "item_id")
    t = t.left_join(profile.select("entity", "price", "duration"), "entity").drop("entity_right")
    return t.mutate(
        **{kind: one(t.event_type == kind) for kind in EVENT_TYPES},
        revenue=only(t.event_type == "purchase", (t.price * PRICE_UNITS).round()),
    )


def _ticks(mine: Table, users: Table) -> Table:
    """The events with all that the totals add up."""
    t = mine.left_join(users.select("user_id", "age"), "user_id").drop("user_id_right")
    nth = ibis.row_number().over(ibis.window(group_by=["entity", "user_id", "event_type"], order_by="second"))
    measured = t.duration_seconds.notnull() & (t.duration > 0)
    return t.mutate(
        events=1.0,
        viewer=one((t.event_type == "view") & (nth == 0)),
        approval=one(t.event_type.isin(APPROVALS)),
        completion=only(measured, (ibis.least(t.duration_seconds / t.duration, 1.0) * MICRO).round()),
        completed=one(measured),
        viewer_age=t.age,
        aged=one(t.age.notnull()),
        last=t.second,
    )


def _profile(t: Table) -> dict[str, NumericValue]:
    return {
        "category": t.category_code,
        "subcategory": t.subcategory_code,
        "language": t.language_code,
        "duration_seconds": t.duration,
        "price": t.price,
        "tags": t.tags,
        "age_limit": t.age_limit,
        "age_days": days(t.second - t.published),
        "recency_days": days(t.second - t["last"]),
    }


def _totals(t: Table) -> dict[str, NumericValue]:
    return {
        "views": t["view"],
        "viewers": t.viewer,
        "clicks": t.click,
        "likes": t.like,
        "adds": t["add"],
        "shares": t.share,
        "purchases": t.purchase,
        "revenue": t.revenue / float(PRICE_UNITS),
    }


def _rates(t: Table) -> dict[str, NumericValue]:
    return {
        "ctr": ratio(t.click, t["view"]),
        "conversion": ratio(t.purchase, t.click),
        "like_rate": ratio(t.like, t["view"]),
        "share_rate": ratio(t.share, t["view"]),
        "views_per_viewer": ratio(t["view"], t.viewer),
        "completion": ratio(t.completion, t.completed * float(MICRO)),
        "watch_seconds": ratio(t.watch, t.watched * float(MILLI)),
        "rating": 1.0 + 4.0 * (t.approval + 1.0) / (t["view"] + t.approval + 2.0),
    }


def _trends(t: Table) -> dict[str, NumericValue]:
    previous = t.view_14d - t.view_7d
    return {
        "views_1d": t.view_1d,
        "views_7d": t.view_7d,
        "views_previous_7d": previous,
        "trending": ratio(t.view_7d, t["view"]),
        "growth": ratio(t.view_7d, previous) - 1.0,
        "clicks_1d": t.click_1d,
        "clicks_7d": t.click_7d,
        "ctr_7d": ratio(t.click_7d, t.view_7d),
        "purchases_7d": t.purchase_7d,
        "revenue_7d": t.revenue_7d / float(PRICE_UNITS),
    }


def _audience(t: Table) -> dict[str, NumericValue]:
    return {
        "viewer_age": ratio(t.viewer_age, t.aged),
        "weekend_share": ratio(t.weekend, t.events),
        "mobile_share": ratio(t.mobile, t.known_device),
        "hour_sin": ratio(t.hour_sin, t.events * float(MICRO)),
        "hour_cos": ratio(t.hour_cos, t.events * float(MICRO)),
    }
