"""User rows as of a time."""

from __future__ import annotations

import ibis
from ibis.expr.types import NumericValue, Table

from trident.contract import DEVICES
from trident.features.registry import AGE_GROUPS, DAY, RECENCY_BINS, SESSION_GAP, TASTE_EVENTS
from trident_export.features.asof import as_of, within
from trident_export.features.favourites import favourites
from trident_export.features.tables import MICRO, MILLI, PRICE_UNITS, one, only

SUMS = (
    *(
        "events",
        "view",
        "click",
        "purchase",
        "new_day",
        "sessions",
        "in_session",
        "watch",
        "watched",
        "spent",
        "orders",
    ),
    *("taste_price", "taste_priced", "weekend", "hour_sin", "hour_cos", "known_device", *DEVICES),
)
TOTALS = {**dict.fromkeys(SUMS, "sum"), "last": "max", "last_purchase": "max", "lowest": "min", "highest": "max"}
WINDOWED = ("events_1d", "events_7d")


def user_features(events: Table, users: Table, items: Table, entities: Table, requests: Table) -> Table:
    """The user features of each request: the column `row` and one column per feature, null where it is unknown.

    Tables as in `tables` and `requests`; `entities` maps entity to user id.
    """
    mine = _events_of(events, items, entities)
    taste = mine.filter(mine.event_type.isin(TASTE_EVENTS))
    profile = users.join(entities, users.user_id == entities.id).drop("user_id", "id")
    table = as_of(_ticks(mine), requests, TOTALS).left_join(profile, "entity").drop("entity_right")
    more = [favourites(taste, requests, "category_code", 3), favourites(taste, requests, "subcategory_code", 1)]
    for other in (within(mine, requests, WINDOWED), *more):
        table = table.left_join(other, "row").drop("row_right")
    columns = {**_profile(table), **_activity(table), **_taste(table), **_habits(table)}
    return table.select("row", **{f"user_{name}": column for name, column in columns.items()})


def _events_of(events: Table, items: Table, entities: Table) -> Table:
    """The events of the wanted users, each with its item."""
    mine = events.join(entities, events.user_id == entities.id)
    return mine.left_join(items, "item_id").drop("item_id_right", "user_id", "id").mutate(events=1.0)


def _ticks(t: Table) -> Table:
    """The events with all that the totals add up."""
    before = t.second.lag().over(ibis.window(group_by="entity", order_by="second"))
    t = t.mutate(gap=t.second - before, new_day=one(before.isnull() | (before // DAY != t.day)))
    taste, bought = t.event_type.isin(TASTE_EVENTS), t.event_type == "purchase"
    price = (t.price * PRICE_UNITS).round()
    priced = taste & t.price.notnull()
    return t.mutate(
        **{kind: one(t.event_type == kind) for kind in ("view", "click", "purchase")},
        sessions=one(t.gap.isnull() | (t.gap > SESSION_GAP)),
        in_session=only(t.gap <= SESSION_GAP, t.gap),
        taste_price=only(priced, price),
        taste_priced=one(priced),
        lowest=only(priced, t.price),
        highest=only(priced, t.price),
        spent=only(bought, price),
        orders=one(bought & t.price.notnull()),
        last=t.second,
        last_purchase=only(bought, t.second),
    )


def ratio(part: NumericValue, whole: NumericValue) -> NumericValue:
    """part / whole, null when the whole is 0."""
    return part / whole.nullif(0)


def days(seconds: NumericValue) -> NumericValue:
    """Whole seconds as days, float64: an engine may take a literal with a point for a decimal of few digits."""
    return seconds.cast("float64") / float(DAY)


def bins(value: NumericValue, borders: tuple[float, ...]) -> NumericValue:
    """How many of the rising borders a value has reached; null stays null."""
    return sum((ibis.ifelse(value >= b, 1.0, 0.0) for b in borders[1:]), ibis.ifelse(value >= borders[0], 1.0, 0.0)) + (
        value * 0.0
    )


def _profile(t: Table) -> dict[str, NumericValue]:
    return {
        "age": t.age,
        "age_group": bins(t.age, AGE_GROUPS),
        "region": t.region_code,
        "account_type": t.account_type_code,
        "tenure_days": days(t.second - t.since),
    }


def _activity(t: Table) -> dict[str, NumericValue]:
    recency = days(t.second - t["last"])
    return {
        "interactions": t.events,
        "views": t["view"],
        "clicks": t.click,
        "purchases": t.purchase,
        "active_days": t.new_day,
        "interactions_1d": t.events_1d,
        "interactions_7d": t.events_7d,
        "ctr": ratio(t.click, t["view"]),
        "conversion": ratio(t.purchase, t.click),
        "session_minutes": ratio(t.in_session, t.sessions * 60.0),
        "watch_seconds": ratio(t.watch, t.watched * float(MILLI)),
        "recency_days": recency,
        "recency_bin": bins(recency, RECENCY_BINS),
    }


def _taste(t: Table) -> dict[str, NumericValue]:
    favourite = {f"favourite_category_{n}": t[f"category_code_{n}"] for n in (1, 2, 3)}
    share = {f"favourite_share_{n}": ratio(t[f"category_code_count_{n}"], t.category_code_total) for n in (1, 2, 3)}
    return {
        **favourite,
        **share,
        "favourite_subcategory": t.subcategory_code_1,
        "categories_seen": t.category_code_different,
        "price_mean": ratio(t.taste_price, t.taste_priced * float(PRICE_UNITS)),
        "price_min": t.lowest,
        "price_max": t.highest,
        "lifetime_value": t.spent / float(PRICE_UNITS),
        "order_value": ratio(t.spent, t.orders * float(PRICE_UNITS)),
        "purchase_days": days(t.second - t.last_purchase),
    }


def _habits(t: Table) -> dict[str, NumericValue]:
    return {
        "hour_sin": ratio(t.hour_sin, t.events * float(MICRO)),
        "hour_cos": ratio(t.hour_cos, t.events * float(MICRO)),
        "weekend_share": ratio(t.weekend, t.events),
        "weekend_uplift": ratio(t.weekend * 5.0, (t.events - t.weekend) * 2.0),
        **{f"{device}_share": ratio(t[device], t.known_device) for device in DEVICES},
    }
