"""Leaving a Redis alone that does not answer: one question per interval instead of one time-out per request."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

FAILURES = 3
"""So many failures in a row open the breaker: three time-outs of 20 ms are what a dead Redis may cost."""

INTERVAL_S = 1.0
"""After so many seconds one request may try again."""

log = logging.getLogger("trident.redis")


class Breaker:
    """Closed: every request may ask. Open: none may, but for one probe per interval, whose success closes it again.

    Thread-safe. A probe that never reports back is followed by the next one after another interval.
    """

    def __init__(
        self,
        name: str = "Redis",
        failures: int = FAILURES,
        interval: float = INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._most, self._interval, self._clock = failures, interval, clock
        self._failed = 0  # in a row
        self._probe_at: float | None = None  # None: closed
        self._lock = threading.Lock()

    @property
    def open(self) -> bool:
        """Whether requests are kept away, but for the probes."""
        return self._probe_at is not None

    def allows(self) -> bool:
        """Whether this request may ask; who gets True reports how it went."""
        if self._probe_at is None:
            return True
        with self._lock:
            now = self._clock()
            if self._probe_at is None:
                return True
            if now < self._probe_at:
                return False
            self._probe_at = now + self._interval
            return True

    def succeeded(self) -> None:
        """Report an answer."""
        if self._failed or self._probe_at is not None:
            with self._lock:
                was_open, self._failed, self._probe_at = self.open, 0, None
            if was_open:
                log.warning("%s answers again", self._name)

    def failed(self) -> None:
        """Report that nothing answered in time."""
        with self._lock:
            was_open, self._failed = self.open, self._failed + 1
            if was_open or self._failed >= self._most:
                self._probe_at = self._clock() + self._interval
            opened = self.open and not was_open
        if opened:
            log.warning("%s does not answer: asked once every %g s until it does", self._name, self._interval)
