"""What users did with items: kept for the next build, and taste from now on."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from trident.contract import FEEDBACK, TIMESTAMP, invalid
from trident.metrics import Counter
from trident.release import Release
from trident.rules import Rules
from trident.stages.host import Host
from trident.stages.stage import Tensors
from trident.state.feedback import Event, FeedbackStore

SKEW = 300  # seconds that a caller's clock may be ahead
EVENTS = Counter("trident_feedback_events_total", "Events that were kept, by type.", ("event_type",))


@dataclass
class Feedback:
    """Keeps each event or refuses it."""

    store: FeedbackStore

    @classmethod
    def open(cls, release: Release, host: Host) -> Feedback:
        """Redis is not asked before the first event."""
        rules = Rules.read(release.folder / "rules.toml")
        return cls(FeedbackStore.connect(host.settings, rules.consumed_events))

    def close(self) -> None:
        """Let go of the connections."""
        self.store.close()

    def __call__(
        self,
        user_id: np.ndarray,
        item_id: np.ndarray,
        event_type: np.ndarray,
        timestamp: np.ndarray,
        device: np.ndarray,
        region: np.ndarray,
        duration_seconds: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `feedback`; raises InvalidInput for an event of the future."""
        moments = resolved(timestamp[:, 0], int(time.time()))
        texts = [[value.decode() for value in a[:, 0]] for a in (user_id, item_id, event_type, device, region)]
        lasted = [None if s != s else round(s, 3) for s in duration_seconds[:, 0].tolist()]
        events = [Event(*row) for row in zip(*texts[:3], moments.tolist(), *texts[3:], lasted, strict=True)]
        entries = self.store.keep(events)
        for event in events:
            EVENTS.add(event_type=event.type)
        return {"entry_id": np.array(entries, np.object_)[:, None]}


def resolved(timestamp: np.ndarray, now: int) -> np.ndarray:
    """Times of events (B,) int64, `now` where it is 0; an event of the future would stay on top of a user's taste."""
    if len(wrong := np.flatnonzero(timestamp > now + SKEW)):
        expected = f"0 for now, or at most {SKEW} seconds after the server's {now}"
        raise invalid(FEEDBACK.name, TIMESTAMP.name, expected, str(timestamp[wrong[0]]))
    return np.where(timestamp > 0, timestamp, now)
