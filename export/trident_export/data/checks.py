"""The rules of validation as Ibis expressions: tables in, tables out, the same on DuckDB and on Spark.

Events carry the columns of the schema; a labelled event also has `reason`, one of REASONS or null. What is small by its
nature, a row per day, is judged in Python.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import ibis
from ibis import _
from ibis.expr.types import BooleanValue, IntegerValue, Table, TimestampScalar, TimestampValue

from trident_export.data.rules import ValidationRules
from trident_export.data.schema import CONTROL, EVENT_TYPES, EVENTS, LONGEST_ID

KEY = "row_hash"
DAY = 86_400


def seconds_of(time: TimestampValue) -> IntegerValue:
    """Unix seconds without their fraction, which DuckDB would keep; before 1970 Spark rounds up, not down."""
    return time.epoch_seconds().floor()


def days_with_events(events: Table) -> Table:
    """Columns day (unix days), events: one row per day that has events."""
    day = (seconds_of(_.timestamp) // DAY).name("day")
    return events.filter(_.timestamp.notnull()).group_by(day).agg(events=_.count()).order_by("day")


def newest_plausible(days: list[tuple[int, int]], rules: ValidationRules) -> int | None:
    """The newest unix day that the rules believe in, None without one; `days` are (unix day, events) in order.

    Walking back from the end, days after a pause are strays as long as there are few events in them.
    """
    days = [d for d in days if d[0] <= horizon(rules).timestamp() // DAY]
    total, strays, newest = sum(d[1] for d in days), 0, len(days) - 1
    for position in range(len(days) - 1, 0, -1):
        strays += days[position][1]
        if strays > rules.stray_share * total:
            break
        if days[position][0] - days[position - 1][0] > rules.pause_days:
            newest = position - 1
    return days[newest][0] if days else None


def newest_until(events: Table, day: int) -> TimestampScalar:
    """The time of the newest event up to the end of a unix day."""
    end = datetime.fromtimestamp((day + 1) * DAY, timezone.utc)
    return events.filter(_.timestamp < _moment(end)).timestamp.max()


def horizon(rules: ValidationRules) -> datetime:
    """What is later than this is the future."""
    return (rules.now or datetime.now(timezone.utc)) + timedelta(seconds=rules.clock_skew_seconds)


def repeated_hashes(events: Table) -> Table:
    """Hashes of rows that occur more than once; different rows may share one, so they only point at suspects."""
    return events.group_by(row_hash(events).name(KEY)).agg(copies=_.count()).filter(_.copies > 1).select(KEY)


def row_hash(events: Table) -> IntegerValue:
    """A hash of a whole row, of 64 bits by DuckDB and 32 by Spark; a null differs from everything but a null."""
    columns = [events[name] for name in EVENTS.names]
    # Times as numbers: writing out dates takes longer than all the rest.
    numbers = [seconds_of(c) if c.type().is_timestamp() else c for c in columns]
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
    latest = min(newest, horizon(rules)) if newest is not None else horizon(rules)
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
    day = (seconds_of(_.timestamp) // DAY).name("day")
    daily = events.group_by("user_id", day).agg(events=_.count())
    return daily.filter(_.events > rules.max_events_per_day).select("user_id").distinct()


def rhythm_bots(events: Table, rules: ValidationRules) -> Table:
    """Users with minutes in which nearly every second has an event, seconds counted from whole or from half ones.

    Who keeps time a few milliseconds off whole seconds has two events in one second and none in the next.
    """
    timed = events.select("user_id", "timestamp", minute=seconds_of(events.timestamp) // 60)
    busy = timed.group_by("user_id", "minute").agg(events=_.count()).filter(_.events >= rules.rhythm_seconds)
    close = timed.semi_join(busy, ["user_id", "minute"])
    close = close.mutate(whole=seconds_of(_.timestamp), half=seconds_of(_.timestamp + ibis.interval(milliseconds=500)))
    minutes = close.group_by("user_id", "minute").agg(whole=_.whole.nunique(), half=_.half.nunique())
    steady = minutes.filter((_.whole >= rules.rhythm_seconds) | (_.half >= rules.rhythm_seconds))
    steady = steady.group_by("user_id").agg(minutes=_.count())
    return steady.filter(_.minutes >= rules.rhythm_minutes).select("user_id")


def repetition_bots(events: Table, rules: ValidationRules) -> Table:
    """Users whose steps (item, type and whole seconds since the event before) are the same again and again."""
    does = events.item_id + "\x1f" + events.event_type
    # The estimate only chooses whom to look at closely: it errs by less than the factor 2 that it is given.
    counts = events.mutate(does=does).group_by("user_id").agg(events=_.count(), different=_.does.approx_nunique())
    many = (_.events >= rules.repeat_events) & (_.different * rules.repeat_factor <= 2 * _.events)
    suspects = events.semi_join(counts.filter(many), "user_id").mutate(does=does, at=seconds_of(_.timestamp))
    before = ibis.window(group_by="user_id", order_by=["timestamp", "does"])
    steps = suspects.mutate(step=_.does + "\x1f" + (_.at - _.at.lag().over(before)).cast("string").fill_null("first"))
    users = steps.group_by("user_id").agg(events=_.count(), different=_.step.nunique())
    return users.filter(_.different * rules.repeat_factor <= _.events).select("user_id")


def with_bots(events: Table, bots: Table) -> Table:
    """Label what no other rule rejected of users in `bots`."""
    joined = events.left_join(bots, "user_id").drop("user_id_right")
    return _relabel(joined, joined.bot.notnull(), joined.bot).drop("bot")


def clean_order(events: Table) -> Table:
    """The events by time; at the same time a view before what follows it, then by all columns so that runs agree."""
    types = ibis.cases(
        *((events.event_type == kind, code) for code, kind in enumerate(EVENT_TYPES)), else_=len(EVENT_TYPES)
    )
    rest = [events[name] for name in events.columns if name != "timestamp"]
    return events.order_by([events.timestamp, types, *rest])


def _relabel(events: Table, wrong: BooleanValue, reason: object) -> Table:
    return events.mutate(reason=ibis.coalesce(events.reason, ibis.ifelse(wrong, reason, ibis.null("string"))))


def _absent(value: object) -> BooleanValue:
    return value.isnull() | (value == "")  # type: ignore[attr-defined]


def _malformed(value: object) -> BooleanValue:
    too_long = value.length() > LONGEST_ID  # type: ignore[attr-defined]
    return too_long | value.re_search(CONTROL)  # type: ignore[attr-defined]


def _moment(moment: datetime) -> TimestampScalar:
    return ibis.literal(moment.astimezone(timezone.utc), "timestamp('UTC', 6)")
