"""Feedback events: each goes to the stream `feedback`, what says what a user likes also to his history, and what the
rules count as consumed to the items that he consumed.

The stream is bounded: `trident data pull` takes events out of it into files. Its entries have the columns of the events
that `trident build` reads, and `timestamp` in unix seconds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import redis

from trident.errors import Unavailable
from trident.features.registry import TASTE_EVENTS
from trident.settings import Settings
from trident.state.connection import BoundedRedis, bounded
from trident.state.consumed import add_consumed
from trident.state.history import add_taste

STREAM = "feedback"
PATIENCE = 0.25
"""Seconds for Redis to take events: nobody waits for items meanwhile, and an event that is not taken has to be sent
again."""


@dataclass(frozen=True)
class Event:
    """What a user did with an item; empty or None where it is not known."""

    user: str
    item: str
    type: str
    time: int  # unix seconds
    device: str = ""
    region: str = ""
    duration: float | None = None  # seconds

    def fields(self) -> dict[Any, Any]:
        """The entry of the stream."""
        known = {"device": self.device, "location": self.region, "duration_seconds": self.duration}
        return {
            "user_id": self.user,
            "item_id": self.item,
            "event_type": self.type,
            "timestamp": self.time,
            **{name: value for name, value in known.items() if value not in ("", None)},
        }


class FeedbackStore:
    """Where events are kept; the stream holds about `most` of them."""

    def __init__(self, client: redis.Redis | BoundedRedis, most: int, consuming: Collection[str] = ()) -> None:
        """`consuming` are the types of events that make their item a consumed one."""
        self._redis = client
        self._most = most
        self._consuming = consuming

    @classmethod
    def connect(cls, settings: Settings, consuming: Collection[str] = ()) -> FeedbackStore:
        """Prepare a client for `settings.redis_url`; nothing is sent before the first event."""
        return cls(bounded(replace(settings, redis_timeout=PATIENCE)), settings.feedback_events, consuming)

    def close(self) -> None:
        """Let go of the connections."""
        self._redis.close()

    def keep(self, events: Sequence[Event]) -> list[bytes]:
        """Keep events in one round trip; return the ids of their entries.

        Raises Unavailable when that is not certain. To send such events again does no harm: a history takes an event
        once, and the validation of `trident build` drops the second of two equal events.
        """
        pipe = self._redis.pipeline(transaction=False)
        for event in events:
            pipe.xadd(STREAM, event.fields(), maxlen=self._most, approximate=True)
        for event in events:
            if event.type in TASTE_EVENTS:
                add_taste(pipe, event.user, {event.item.encode(): event.time})
            if event.type in self._consuming:
                add_consumed(pipe, event.user, {event.item.encode(): event.time})
        try:
            return pipe.execute()[: len(events)]
        except (redis.RedisError, OSError) as error:
            raise Unavailable(
                f"the event may not be kept, send it again: Redis does not take it: {type(error).__name__}"
            ) from None
