"""The three tables that everything offline reads: their columns, types, defaults and words.

`EVENTS`, `USERS` and `ITEMS` are the one place where a column is named; the files of a `Dataset` have exactly these
columns in this order. A column that a source lacks, and a null in a column that has a default, get the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from trident.contract import DEVICES, EVENT_TYPES

ACCOUNT_TYPES = ("free", "plus", "pro")
"""Account types of the synthetic marketplace; a source may bring others."""

AGE_LIMITS = (0, 12, 16, 18)
UNKNOWN = "unknown"
UNDETERMINED_LANGUAGE = "und"  # ISO 639

TEXT = pa.string()
WHOLE = pa.int32()
REAL = pa.float64()
FLAG = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(pa.string())

LONGEST_ID, CONTROL = 128, r"[\x00-\x1f\x7f]"
"""Characters that an id may have at most, and those that it must not have: no request could name it."""

COUNTRY = "[A-Z]{2}"
"""An ISO 3166 code. Another spelling would be another place, and a block for it would block nobody."""

EXPECTED: Mapping[pa.DataType, str] = {
    TEXT: "text",
    WHOLE: "a whole number",
    REAL: "a number",
    FLAG: "true or false",
    TIME: "ISO-8601 time (UTC unless it says otherwise) or unix seconds",
    TEXTS: "a list of texts",
}
"""Each type in words, for error texts."""


@dataclass(frozen=True)
class Column:
    """One column: its type and what stands in when it is missing; `required` columns must be in the source."""

    name: str
    type: pa.DataType
    doc: str
    default: str | int | bool | tuple[str, ...] | None = None
    required: bool = False
    pattern: str = ""  # what every text must match, when it is not empty


@dataclass(frozen=True)
class TableSpec:
    """One table; `key` is the column whose values are unique and never null, "" for none."""

    name: str
    columns: tuple[Column, ...]
    key: str = ""
    arrow: pa.Schema = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "arrow", pa.schema([(c.name, c.type) for c in self.columns]))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(c.name for c in self.columns)


EVENTS = TableSpec(
    "events",
    (
        Column("user_id", TEXT, "who", required=True),
        Column("item_id", TEXT, "with what", required=True),
        Column("timestamp", TIME, "when", required=True),
        Column("event_type", TEXT, f"one of {', '.join(EVENT_TYPES)}", default="view"),
        Column("duration_seconds", REAL, "how long the item was looked at, watched or read; null when not measured"),
        Column("device", TEXT, f"one of {', '.join(DEVICES)}; null when unknown"),
        Column("location", TEXT, "ISO 3166 code of the country the user was in; null when unknown", pattern=COUNTRY),
    ),
)
USERS = TableSpec(
    "users",
    (
        Column("user_id", TEXT, "the key", required=True),
        Column("age", WHOLE, "years; null when unknown"),
        Column("region", TEXT, "ISO 3166 code of the home country; null when unknown", pattern=COUNTRY),
        Column("member_since", TIME, "when the account was opened; null when unknown"),
        Column("account_type", TEXT, "what kind of account", default=UNKNOWN),
    ),
    key="user_id",
)
ITEMS = TableSpec(
    "items",
    (
        Column("item_id", TEXT, "the key", required=True),
        Column("title", TEXT, "shown to people", default=""),
        Column("category", TEXT, "what the cap per category counts", default=UNKNOWN),
        Column("subcategory", TEXT, "finer than category", default=UNKNOWN),
        Column("tags", TEXTS, "free words", default=()),
        Column("language", TEXT, "ISO 639 code", default=UNDETERMINED_LANGUAGE),
        Column("duration_seconds", REAL, "length; null when it has none"),
        Column("price", REAL, "in one currency, 0 is free; null when unknown"),
        Column("published_at", TIME, "null when unknown"),
        Column("age_limit", WHOLE, "years a viewer must have", default=0),
        Column("blocked_regions", TEXTS, "ISO 3166 codes where it must not be shown", default=(), pattern=COUNTRY),
        Column("flagged", FLAG, "must not be shown at all", default=False),
        Column("in_stock", FLAG, "can be had now; false for an item that `items` lacks and events name", default=True),
    ),
    key="item_id",
)
TABLES = (EVENTS, USERS, ITEMS)
