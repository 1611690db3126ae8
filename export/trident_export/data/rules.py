"""The thresholds of validation, and the reasons for which it rejects an event."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from typing import Any

from trident.errors import InvalidInput
from trident_export.data.schema import EVENT_TYPES

REASONS = (
    "missing_user",
    "missing_item",
    "missing_time",
    "duplicate",
    "unknown_event_type",
    "future",
    "too_old",
    "negative_duration",
    "absurd_duration",
    "unknown_user",
    "unknown_item",
    "bot_volume",
    "bot_rhythm",
    "bot_repetition",
)
"""Why an event is rejected. An event has one reason: the first that applies, in this order."""

BOTS = tuple(r for r in REASONS if r.startswith("bot_"))
"""Reasons that reject all events of a user which no other reason rejected."""


@dataclass(frozen=True)
class ValidationRules:
    """What an event must keep to; times without a zone are taken as UTC.

    Ages count from the newest plausible event. Wrong clocks make few events far from the rest: what comes after a pause
    of more than `pause_days` and is at most `stray_share` of all events is `future`, as is everything after `now`.
    """

    now: datetime | None = None  # None: the clock of this machine
    clock_skew_seconds: int = 300  # an event may be this much later than now
    pause_days: int = 30
    stray_share: float = 0.01
    max_age_days: int | None = 730  # older than this before the newest event is too old; None: no limit
    oldest: datetime | None = None  # a given date instead of max_age_days
    event_types: tuple[str, ...] = EVENT_TYPES
    max_duration_seconds: float = 86_400
    known_users: bool = False  # reject events of users that are not in the table of users
    known_items: bool = False
    max_events_per_day: int = 1_000  # of one user in one day (UTC); more is a bot
    rhythm_seconds: int = 50  # a minute with events in this many of its 60 seconds is mechanical
    rhythm_minutes: int = 3  # this many mechanical minutes are a bot
    repeat_events: int = 50  # users with fewer events are not asked whether they repeat themselves
    repeat_factor: float = 5.0  # the same item, type and pause to the event before, this often on average, is a bot
    memory: str = "4GB"  # of DuckDB, before it spills to disk

    def __post_init__(self) -> None:
        for name in ("now", "oldest"):
            value = getattr(self, name)
            if value is not None and value.tzinfo is None:
                object.__setattr__(self, name, value.replace(tzinfo=timezone.utc))
        for name, least in (("pause_days", 1), ("max_events_per_day", 1), ("rhythm_minutes", 1), ("repeat_events", 2)):
            if getattr(self, name) < least:
                raise InvalidInput(f"validation rule '{name}': expected at least {least}, got {getattr(self, name)}")
        if not 1 <= self.rhythm_seconds <= 60:
            raise InvalidInput(f"validation rule 'rhythm_seconds': expected 1 to 60, got {self.rhythm_seconds}")

    def as_dict(self) -> dict[str, Any]:
        """The rules as JSON can hold them."""
        return {k: v.isoformat() if isinstance(v, datetime) else v for k, v in asdict(self).items()}
