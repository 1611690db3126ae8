"""What is told of users: one thing that one of them did with an item."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """A user did something with an item; `event_type` is one of `trident.contract.EVENT_TYPES`.

    `timestamp` is in unix seconds, by default when this object was made: so it may be sent again when it is not known
    whether it arrived, and counts once. `device`, `region` (two-letter country code of where the user was) and
    `duration_seconds` are optional.
    """

    user_id: str
    item_id: str
    event_type: str
    timestamp: int | None = None
    device: str | None = None
    region: str | None = None
    duration_seconds: float | None = None

    def __post_init__(self) -> None:
        if self.timestamp is None:
            object.__setattr__(self, "timestamp", int(time.time()))
