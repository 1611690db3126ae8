"""A rules file: TOML → the fields of Rules, with an error that names file, key, what was expected and what came."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from trident.contract import EVENT_TYPES, MAX_LIMIT
from trident.errors import ReleaseError, reason
from trident.rules.entries import Boost, Pin
from trident.rules.values import End, Flag, Kind, Name, Names, Number, Table, Whole

SECTIONS: Mapping[str, Mapping[str, tuple[str, Kind]]] = {
    "diversity": {
        "max_per_category": ("max_per_category", Whole(1, 1000)),
        "max_in": ("max_in", Table(Whole(1, 1000))),
        "pool": ("pool", Whole(1, 500)),
        "pool_per_item": ("pool_per_item", Number(1, 100)),
        "strength": ("diversity", Number(0, 1)),
    },
    "freshness": {
        "strength": ("strength", Number(0, 10)),
        "days": ("days", Number(0.001, 36_500)),
        "half_life_days": ("half_life_days", Number(0.001, 36_500)),
    },
    "new_items": {
        "min_share": ("new_share", Number(0, 1)),
        "days": ("new_days", Number(0.001, 36_500)),
    },
    "dedup": {
        "window_days": ("window_days", Whole(1, 365)),
        "max_items": ("max_items", Whole(1, 100_000)),
        "hide_history": ("hide_history", Flag()),
    },
    "consumed": {
        "event_types": ("consumed_events", Names(EVENT_TYPES)),
        "window_days": ("consumed_days", Whole(0, 36_500)),
    },
    "safety": {
        "never_items": ("never_items", Names()),
        "never_categories": ("never_categories", Names()),
    },
}
"""Section → key → the field of Rules that it sets, and what it takes."""

PINNED: Mapping[str, Kind] = {"item": Name(), "position": Whole(1, MAX_LIMIT), "until": End()}
BOOSTED: Mapping[str, Kind] = {"item": Name(), "category": Name(), "factor": Number(0.01, 100), "until": End()}


def read_fields(path: Path) -> dict[str, Any]:
    """The fields of Rules that a file sets; what it leaves out keeps its default.

    Raises ReleaseError for a file that cannot be read, an unknown key, or a value of another type or out of range.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ReleaseError(f"{path.name} cannot be read: {reason(error)}") from None
    _known(path.name, tables, (*SECTIONS, "pinned", "boosted"))
    fields: dict[str, Any] = {}
    for section, keys in SECTIONS.items():
        where, table = f"{path.name}: [{section}]", tables.get(section, {})
        _table(where, table, {key: kind for key, (_, kind) in keys.items()})
        fields |= {keys[key][0]: _kept(value) for key, value in table.items()}
    _one_decay(path.name, fields)
    fields["pinned"] = tuple(Pin(**entry) for entry in _entries(path.name, "pinned", tables, PINNED))
    fields["boosted"] = tuple(Boost(**entry) for entry in _entries(path.name, "boosted", tables, BOOSTED))
    return fields


def _known(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in given:
        if key not in known:
            raise ReleaseError(f"{where}: unknown key: expected some of {', '.join(known)}, got {key!r}")


def _table(where: str, table: Any, keys: Mapping[str, Kind]) -> None:
    if not isinstance(table, dict):
        raise ReleaseError(f"{where}: expected a table with some of the keys {', '.join(keys)}, got {table!r}")
    _known(where, table, tuple(keys))
    for key, value in table.items():
        if not keys[key].takes(value):
            raise ReleaseError(f"{where} {key}: expected {keys[key]}, got {value!r}")


def _kept(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _one_decay(name: str, fields: dict[str, Any]) -> None:
    """Turn a half-life into the days after which the boost has shrunk to 1/e."""
    if "half_life_days" not in fields:
        return
    if "days" in fields:
        raise ReleaseError(f"{name}: [freshness]: expected one of days, half_life_days, got both")
    fields["days"] = fields.pop("half_life_days") / math.log(2)


def _entries(name: str, section: str, tables: Mapping[str, Any], keys: Mapping[str, Kind]) -> list[dict[str, Any]]:
    entries = tables.get(section, [])
    if not isinstance(entries, list):
        raise ReleaseError(f"{name}: {section}: expected entries that begin with [[{section}]], got {entries!r}")
    for number, entry in enumerate(entries, 1):
        where = f"{name}: [[{section}]] number {number}"
        _table(where, entry, keys)
        _whole(where, entry, keys)
        if "until" in entry:
            entry["until"] = End.second(entry["until"])
    return entries


def _whole(where: str, entry: Mapping[str, Any], keys: Mapping[str, Kind]) -> None:
    """An entry has every key but `until`, and names either an item or a category where both are possible."""
    names = [key for key in ("item", "category") if key in keys]
    needed = [key for key in keys if key not in (*names, "until")]
    if sum(key in entry for key in names) != 1 or not all(key in entry for key in needed):
        expected = f"{' and '.join([' or '.join(names), *needed])}"
        raise ReleaseError(f"{where}: expected {expected}, got {', '.join(entry) or 'nothing'}")
