"""The rules of validation as Ibis expressions: tables in, tables out, on any engine that Ibis speaks to.

Events carry the columns of the schema; a labelled event also has `reason`, one of REASONS or null. What is small by its
nature, a row per day, is judged in Python.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, IntegerValue, Table

from trident_export.data.rules import ValidationRules
from trident_export.data.schema import CONTROL, EVENT_TYPES, EVENTS, LONGEST_ID

KEY = "row_hash"
DAY = 86_400


def days_with_events(events: Table) -> Table:
    """Columns day (unix days), events, newest: one row per day that has events."""
    day = (_.timestamp.epoch_seconds() // DAY).name("day")
    daily = events.filter(_.timestamp.notnull()).group_by(day).agg(events=_.count(), newest=_.timestamp.max())
    return daily.order_by("day")


def newest_plausible(days: list[tuple[int, int, datetime]], rules: ValidationRules) -> datetime | None:
    """The newest moment that the rules believe in, None without events; `days` are (unix day, events, newest) in order.

    Walking back from the end, days after a pause are strays as long as there are few events in them.
    """
    horizon = _horizon(rules)
    days = [d for d in days if d[0] <= horizon.timestamp() // DAY]
    total, strays, newest = sum(d[1] for d in days), 0, len(days) - 1
    for position in range(len(days) - 1, 0, -1):
        strays += days[position][1]
        if strays > rules.stray_share * total:
            break
        if days[position][0] - days[position - 1][0] > rules.pause_days:
            newest = position - 1
    return min(days[newest][2], horizon) if days else None


def _horizon(rules: ValidationRules) -> datetime:
    return (rules.now or datetime.now(timezone.utc)) + timedelta(seconds=rules.clock_skew_seconds)


def repeated_hashes(events: Table) -> Table:
    """Hashes of rows that occur more than once; different rows may share one, so they only point at suspects."""
    return events.group_by(row_hash(events).name(KEY)).agg(copies=_.count()).filter(_.copies > 1).select(KEY)


def row_hash(events: Table) -> IntegerValue:
    """A 64-bit hash of a whole row; a null differs from everything but a null."""
    columns = [events[name] for name in EVENTS.names]
    # Times as numbers: writing out dates takes longer than all the rest.
    numbers = [c.epoch_seconds() * 1_000_000 + c.microsecond() if c.type().is_timestamp() else c for c in columns]
    parts = [c.cast("string").fill_null("\x00") for c in numbers]
    return ibis.literal("\x1f").join(parts).hash()


def with_copies(events: Table, repeated: Table) -> Table:
    """The events with `copy`: 0 for the first of equal rows, 1 for the second, and so on."""
    hashed = events.mutate(**{KEY: row_hash(events)})
    unique = hashed.anti_join(repeated, KEY).mutate(copy=ibis.literal(0, "int64"))
    suspects = hashed.semi_join(repeated, KEY)
    suspects = suspects.mutate(copy=ibis.row_number().over(group_by=list(EVENTS.names), order_by=KEY))
    return unique.union(suspects).drop(KEY)


def labelled(events: Table, rules: ValidationRules, newest: datetime | None) -> Table:
    """Events with `copy` → events with `reason`, by the rules that look at one row."""
    oldest = rules.oldest
    if oldest is None and newest is not None and rules.max_age_days is not None:
        oldest = newest - timedelta(days=rules.max_age_days)
    latest = min(newest, _horizon(rules)) if newest is not None else _horizon(rules)
    branches: list[tuple[BooleanValue, str]] = [
        (_absent(_.user_id), "missing_user"),
        (_absent(_.item_id), "missing_item"),
        (_.timestamp.isnull(), "missing_time"),
        (_malformed(_.user_id) | _malformed(_.item_id), "malformed_id"),
        (_.copy > 0, "duplicate"),
        (_.event_type.notin(rules.event_types), "unknown_event_type"),
        (_.timestamp > _moment(latest), "future"),
        (_.duration_seconds < 0, "negative_duration"),
        (_.duration_seconds > rules.max_duration_seconds, "absurd_duration"),
    ]
    if oldest is not None:
        branches.insert(7, (_.timestamp < _moment(oldest), "too_old"))
    return events.mutate(reason=ibis.cases(*branches, else_=ibis.null("string"))).drop("copy")


def with_unknown_keys(events: Table, table: Table, key: str, reason: str) -> Table:
    """Label what no other rule rejected and whose `key` is not in `table`."""
    known = table.select(**{key: table[key]}).distinct().mutate(known=True)
    joined = events.left_join(known, key).drop(f"{key}_right")
    return _relabel(joined, joined.known.isnull(), ibis.literal(reason)).drop("known")


def bots(events: Table, rules: ValidationRules) -> Table:
    """Columns user_id, bot: users among clean `events` who are machines, with the first reason that applies."""
    found = volume_bots(events, rules).mutate(bot=ibis.literal("bot_volume"), rank=0)
    found = found.union(rhythm_bots(events, rules).mutate(bot=ibis.literal("bot_rhythm"), rank=1))
    found = found.union(repetition_bots(events, rules).mutate(bot=ibis.literal("bot_repetition"), rank=2))
    return found.group_by("user_id").agg(bot=_.bot.argmin(_["rank"]))


def volume_bots(events: Table, rules: ValidationRules) -> Table:
    """Users with more events in one day than a person makes."""
    day = (_.timestamp.epoch_seconds() // DAY).name("day")
    daily = events.group_by("user_id", day).agg(events=_.count())
    return daily.filter(_.events > rules.max_events_per_day).select("user_id").distinct()


def rhythm_bots(events: Table, rules: ValidationRules) -> Table:
    """Users with minutes in which nearly every second has an event."""
    second = events.select("user_id", second=events.timestamp.epoch_seconds())
    timed = second.select("user_id", "second", minute=second.second // 60)
    busy = timed.group_by("user_id", "minute").agg(events=_.count()).filter(_.events >= rules.rhythm_seconds)
    minutes = timed.semi_join(busy, ["user_id", "minute"]).group_by("user_id", "minute").agg(seconds=_.second.nunique())
    steady = minutes.filter(_.seconds >= rules.rhythm_seconds).group_by("user_id").agg(minutes=_.count())
    return steady.filter(_.minutes >= rules.rhythm_minutes).select("user_id")


def repetition_bots(events: Table, rules: ValidationRules) -> Table:
    """Users whose steps (item, type and whole seconds since the event before) are the same again and again."""
    does = events.item_id + "\x1f" + events.event_type
    # The estimate only chooses whom to look at closely: it errs by less than the factor 2 that it is given.
    counts = events.mutate(does=does).group_by("user_id").agg(events=_.count(), different=_.does.approx_nunique())
    many = (_.events >= rules.repeat_events) & (_.different * rules.repeat_factor <= 2 * _.events)
    suspects = events.semi_join(counts.filter(many), "user_id").mutate(does=does, at=_.timestamp.epoch_seconds())
    before = ibis.window(group_by="user_id", order_by=["timestamp", "does"])
    steps = suspects.mutate(step=_.does + "\x1f" + (_.at - _.at.lag().over(before)).cast("string").fill_null("first"))
    users = steps.group_by("user_id").agg(events=_.count(), different=_.step.nunique())
    return users.filter(_.different * rules.repeat_factor <= _.events).select("user_id")


def with_bots(events: Table, bots: Table) -> Table:
    """Label what no other rule rejected of users in `bots`."""
    joined = events.left_join(bots, "user_id").drop("user_id_right")
    return _relabel(joined, joined.bot.notnull(), joined.bot).drop("bot")


def clean_order(events: Table) -> Table:
    """The events by time; at the same time a view before what follows it, then by ids so that runs agree."""
    types = ibis.cases(
        *((events.event_type == kind, code) for code, kind in enumerate(EVENT_TYPES)), else_=len(EVENT_TYPES)
    )
    return events.order_by([events.timestamp, types, events.user_id, events.item_id])


def _relabel(events: Table, wrong: BooleanValue, reason: object) -> Table:
    return events.mutate(reason=ibis.coalesce(events.reason, ibis.ifelse(wrong, reason, ibis.null("string"))))


def _absent(value: object) -> BooleanValue:
    return value.isnull() | (value == "")  # type: ignore[attr-defined]


def _malformed(value: object) -> BooleanValue:
    too_long = value.length() > LONGEST_ID  # type: ignore[attr-defined]
    return too_long | value.re_search(CONTROL)  # type: ignore[attr-defined]


def _moment(moment: datetime) -> ibis.expr.types.TimestampScalar:
    return ibis.literal(moment.astimezone(timezone.utc), "timestamp('UTC', 6)")
