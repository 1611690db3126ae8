"""Items that a user already consumed are left out: for how long."""

from __future__ import annotations

from trident.rules.config import DAY


def consumed_since(now: int, days: int) -> int:
    """The first unix second whose events still count at `now`, where they count for `days`; 0 is for ever."""
    return now - days * DAY + 1 if days else 0
