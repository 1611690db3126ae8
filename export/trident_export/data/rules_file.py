"""The rules of validation from a TOML file."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from trident.errors import InvalidInput
from trident_export.data.rules import ValidationRules

DEFAULT_VALIDATION = Path(__file__).parent / "default_validation.toml"
"""Every key with its default and what it means."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "time": ("now", "clock_skew_seconds", "pause_days", "stray_share", "max_age_days", "oldest"),
    "events": ("event_types", "max_duration_seconds"),
    "tables": ("known_users", "known_items"),
    "bots": ("max_events_per_day", "rhythm_seconds", "rhythm_minutes", "repeat_events", "repeat_factor"),
    "engine": ("memory",),
}


def read_rules(path: Path, base: ValidationRules | None = None) -> ValidationRules:
    """The rules of a TOML file; what it does not name is as in `base`, the rules of the source.

    Raises InvalidInput that names the file and the section or key that is unknown or has a wrong value.
    """
    try:
        sections = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path}: expected a TOML file with rules of validation: {error}") from None
    given: dict[str, Any] = {}
    for section, values in sections.items():
        given |= _section(path, section, values)
    try:
        return replace(base or ValidationRules(), **given)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None


def _section(path: Path, section: str, values: object) -> dict[str, Any]:
    if section not in SECTIONS or not isinstance(values, dict):
        raise InvalidInput(f"{path}: expected the sections {_listed(SECTIONS)}, got {section}")
    unknown = [key for key in values if key not in SECTIONS[section]]
    if unknown:
        raise InvalidInput(
            f"{path}: [{section}]: expected the keys {_listed(SECTIONS[section])}, got {_listed(unknown)}"
        )
    return {key: _value(key, value) for key, value in values.items()}


def _value(key: str, value: Any) -> Any:
    """TOML has no null, dates without time and lists; the rules have None, moments and tuples."""
    if key == "max_age_days" and value is False:
        return None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time())
    return tuple(value) if isinstance(value, list) else value


def _listed(names: Any) -> str:
    return ", ".join(names)
