"""The thresholds of validation, and the reasons for which it rejects an event."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from trident.errors import InvalidInput
from trident_export.data.schema import EVENT_TYPES

MEANING: Mapping[str, str] = {
    "missing_user": "no user_id",
    "missing_item": "no item_id",
    "missing_time": "no timestamp",
    "malformed_id": "a user_id or item_id of more than 128 characters or with a control character",
    "duplicate": "equal to another event in every column; the first is kept",
    "unknown_event_type": "a type that is not in event_types",
    "future": "later than now, or after a pause that only wrong clocks make",
    "too_old": "more than max_age_days before the newest event, or before oldest",
    "negative_duration": "a duration below 0",
    "absurd_duration": "a duration of more than max_duration_seconds",
    "unknown_user": "a user that is not in the table of users, which is meant to be complete",
    "unknown_item": "an item that is not in the table of items, which is meant to be complete",
    "bot_volume": "of a user with more than max_events_per_day events in one day",
    "bot_rhythm": "of a user with an event in nearly every second of some minutes",
    "bot_repetition": "of a user who repeats the same pattern exactly",
}
"""Why an event is rejected, in words. An event has one reason: the first that applies, in this order."""

REASONS = tuple(MEANING)

BOTS = tuple(r for r in REASONS if r.startswith("bot_"))
"""Reasons that reject all events of a user which no other reason rejected."""


@dataclass(frozen=True)
class ValidationRules:
    """What an event must keep to, each explained in `default_validation.toml`; times without a zone are taken as UTC.

    Ages count from the newest plausible event. Wrong clocks make few events far from the rest: what comes after a pause
    of more than `pause_days` and is at most `stray_share` of all events is `future`, as is everything after `now`.
    Raises InvalidInput that names the rule.
    """

    now: datetime | None = None  # None: the clock of this machine
    clock_skew_seconds: int = 300
    pause_days: int = 30
    stray_share: float = 0.01
    max_age_days: int | None = 730  # None: no limit
    oldest: datetime | None = None  # a given date instead of max_age_days
    event_types: tuple[str, ...] = EVENT_TYPES
    max_duration_seconds: float = 86_400
    known_users: bool = False
    known_items: bool = False
    max_events_per_day: int = 1_000
    rhythm_seconds: int = 50
    rhythm_minutes: int = 3
    repeat_events: int = 50
    repeat_factor: float = 5.0
    memory: str = "4GB"

    def __post_init__(self) -> None:
        for name in ("now", "oldest"):
            self._check_moment(name)
        for name, (kind, least, most) in LIMITS.items():
            self._check_number(name, kind, least, most)
        for name in ("known_users", "known_items"):
            if not isinstance(getattr(self, name), bool):
                raise _wrong(name, "true or false", getattr(self, name))
        types = self.event_types if isinstance(self.event_types, tuple) else ()
        if not types or not all(kind in EVENT_TYPES for kind in types):
            raise _wrong("event_types", f"some of {', '.join(EVENT_TYPES)}", self.event_types)
        if not isinstance(self.memory, str) or not re.fullmatch(r"\d+(\.\d+)?\s*[KMGT]i?B", self.memory):
            raise _wrong("memory", "a size such as 4GB", self.memory)

    def _check_moment(self, name: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not isinstance(value, datetime):
            raise _wrong(name, "a date and time such as 2024-06-01T12:00:00Z", value)
        if value.tzinfo is None:
            object.__setattr__(self, name, value.replace(tzinfo=timezone.utc))

    def _check_number(self, name: str, kind: type, least: float, most: float) -> None:
        value = getattr(self, name)
        if value is None and name == "max_age_days":
            return
        fits = isinstance(value, int if kind is int else (int, float)) and not isinstance(value, bool)
        if not fits or not least <= value <= most:
            limits = f"at least {least}" if most == math.inf else f"{least} to {most}"
            raise _wrong(name, f"{'a whole number, ' if kind is int else ''}{limits}", value)

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON can hold them."""
        values = asdict(self) | {"event_types": list(self.event_types)}
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in values.items()}


LIMITS: Mapping[str, tuple[type, float, float]] = {
    "clock_skew_seconds": (int, 0, math.inf),
    "pause_days": (int, 1, math.inf),
    "stray_share": (float, 0, 1),
    "max_age_days": (int, 1, 36_500),
    "max_duration_seconds": (float, 0, math.inf),
    "max_events_per_day": (int, 1, math.inf),
    "rhythm_seconds": (int, 1, 60),
    "rhythm_minutes": (int, 1, math.inf),
    "repeat_events": (int, 2, math.inf),
    "repeat_factor": (float, 1, math.inf),
}
"""Rule → type, least and most."""


def _wrong(name: str, expected: str, got: object) -> InvalidInput:
    return InvalidInput(f"validation rule '{name}': expected {expected}, got {got!r}")
