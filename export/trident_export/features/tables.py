"""The tables of a dataset as features read them: seconds instead of timestamps, codes instead of names.

Sums must not depend on the order in which an engine adds, so amounts are whole numbers of small units kept in float64:
prices in 1/10,000, durations in milliseconds, shares and means of sines in millionths.
"""

from __future__ import annotations

import math

import ibis
import pyarrow as pa
from ibis.backends import BaseBackend
from ibis.expr.types import NumericValue, Table, TimestampValue

from trident.contract import DEVICES
from trident.features.registry import DAY
from trident.features.vocabulary import Vocabulary
from trident_export.data.dataset import Dataset

PRICE_UNITS = 10_000
MILLI = 1_000
MICRO = 1_000_000
_THURSDAY = 3  # weekday of 1970-01-01


def seconds_of(time: TimestampValue) -> NumericValue:
    """Unix seconds, fractions cut off: int64."""
    return time.truncate("s").epoch_seconds().cast("int64")


def with_code(table: Table, column: str, vocabulary: Vocabulary, kind: str) -> Table:
    """Add `<column>_code`, null for a value that is not in the vocabulary."""
    values = vocabulary.values(kind)
    name, code = f"{column}_value", f"{column}_code"
    codes = ibis.memtable(
        pa.table({name: pa.array(values, pa.string()), code: pa.array(range(len(values)), pa.int64())})
    )
    return table.left_join(codes, table[column] == codes[name]).drop(name)


def item_table(engine: BaseBackend, dataset: Dataset, vocabulary: Vocabulary) -> Table:
    """The items with codes: item_id, *_code, duration, price, tags, age_limit, published (unix seconds)."""
    items = engine.read_parquet(dataset.items)
    items = items.select(
        "item_id",
        "category",
        "subcategory",
        "language",
        "age_limit",
        duration=items.duration_seconds,
        price=items.price,
        tags=items.tags.length(),
        published=seconds_of(items.published_at),
    )
    for column, kind in (("category", "categories"), ("subcategory", "subcategories"), ("language", "languages")):
        items = with_code(items, column, vocabulary, kind).drop(column)
    return items


def user_table(engine: BaseBackend, dataset: Dataset, vocabulary: Vocabulary) -> Table:
    """The users with codes: user_id, age, region_code, account_type_code, since (unix seconds)."""
    users = engine.read_parquet(dataset.users)
    users = users.select("user_id", "age", "region", "account_type", since=seconds_of(users.member_since))
    for column, kind in (("region", "regions"), ("account_type", "account_types")):
        users = with_code(users, column, vocabulary, kind).drop(column)
    return users


def event_table(engine: BaseBackend, dataset: Dataset) -> Table:
    """The events with `second` and what follows from it: hour, day, weekend."""
    events = engine.read_parquet(dataset.events)
    events = events.select(
        "user_id", "item_id", "event_type", "device", "duration_seconds", second=seconds_of(events.timestamp)
    )
    day = events.second // DAY
    angle = (events.second % DAY // 3600) * (2 * math.pi / 24)
    return events.mutate(
        day=day,
        weekend=one((day + _THURSDAY) % 7 >= 5),
        hour_sin=(angle.sin() * MICRO).round().cast("float64"),
        hour_cos=(angle.cos() * MICRO).round().cast("float64"),
        watch=(events.duration_seconds * MILLI).round().cast("float64"),
        watched=one(events.duration_seconds.notnull()),
        known_device=one(events.device.isin(DEVICES)),
        **{device: one(events.device == device) for device in DEVICES},
    )


def one(condition: ibis.expr.types.BooleanValue) -> NumericValue:
    """1.0 where the condition holds, else 0.0."""
    return ibis.ifelse(condition, 1.0, 0.0)


def only(condition: ibis.expr.types.BooleanValue, value: NumericValue) -> NumericValue:
    """The value as float64 where the condition holds, else null."""
    return ibis.ifelse(condition, value.cast("float64"), ibis.null("float64"))
