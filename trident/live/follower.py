"""Follows the item changes of Redis in a thread and applies them to the live columns of one release.

After every interruption everything is read anew, so that no change is missed; until then `lag_seconds` grows.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

import numpy as np

from trident.items import REGIONS_PER_WORD, ItemColumns
from trident.live.columns import Changes, LiveColumns, Visibility
from trident.live.state import LiveState
from trident.live.updates import AT_ONCE, START, ItemUpdates, States, newer
from trident.release import Release
from trident.settings import Settings
from trident.state.connection import connect

WAIT = 0.25  # seconds that one read waits for news: so often it is known that there are none
PATIENCE = 0.75  # seconds that Redis may take beyond that
PAUSES = (0.05, 0.1, 0.2, 0.4)  # seconds between tries; the last one repeats


class Follower:
    """The thread; once made, it has read what Redis holds, or has tried to."""

    def __init__(
        self, connect: Callable[[], ItemUpdates], release: Release, columns: LiveColumns, most_lag: float
    ) -> None:
        self._columns = columns
        self._most_lag = most_lag
        self._connect = connect
        self._updates: ItemUpdates | None = None
        self._items: ItemColumns = release.items
        self._regions = {region: code for code, region in enumerate(release.vocabulary.regions)}
        self._released = Visibility.of(release.items)
        self._memory: bytes | None = None
        self._position = START
        self._known: set[bytes] = set()  # items for which something is set
        self._current = -math.inf  # when everything was known
        self._lost = True
        self._stopped = threading.Event()
        self._try(self._start)
        self._thread = threading.Thread(target=self._run, name="item updates", daemon=True)
        self._thread.start()

    @classmethod
    def of(cls, release: Release, columns: LiveColumns, settings: Settings) -> Follower:
        """Follow the Redis of `settings` for `release`."""
        address = settings.redis_url
        return cls(lambda: ItemUpdates(connect(address, WAIT + PATIENCE)), release, columns, settings.live_updates_lag)

    @property
    def lag_seconds(self) -> float:
        """How long ago everything that Redis holds was known; infinite when it never was."""
        return time.monotonic() - self._current

    @property
    def stale(self) -> bool:
        """Whether that is longer ago than it may be."""
        return self.lag_seconds > self._most_lag

    def stop(self) -> None:
        """End the thread and wait for it, about a second at most."""
        self._stopped.set()
        self._thread.join(WAIT + PATIENCE)

    def stop_soon(self) -> None:
        """Tell the thread to end."""
        self._stopped.set()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            if self._try(self._start if self._lost else self._follow):
                failures = 0
            else:
                self._stopped.wait(PAUSES[min(failures, len(PAUSES) - 1)])
                failures += 1

    def _try(self, step: Callable[[], bool]) -> bool:
        """Take a step, which says whether the thread of the stream was lost; false when it fails."""
        try:
            self._lost = step()
            return True
        except Exception:  # whatever it was: read everything anew, and let the answers say that they are late
            self._lost = True
            return False

    def _start(self) -> bool:
        """Read all that is set. What a Redis does not know that lost its memory stays as it was."""
        began = time.monotonic()
        updates = self._updates = self._updates or self._connect()
        memory, position, states = updates.memory(), updates.last(), updates.all()
        if memory == self._memory and not newer(self._position, position):
            states |= dict.fromkeys(self._known - set(states))
        self._deliver(states)
        self._memory, self._position, self._current = memory, position, began
        return False

    def _follow(self) -> bool:
        """Read what is new; what was trimmed away before it could be read is lost."""
        if self._updates is None:
            return True
        position, states, more = self._updates.after(self._position, WAIT)
        if states and self._updates.trimmed(self._position):
            return True
        self._deliver(states)
        self._position = position
        if not more:
            self._current = time.monotonic()
        return False

    def _deliver(self, states: States) -> None:
        names = list(states)
        for start in range(0, len(names), AT_ONCE):  # requests wait while some are applied
            some = names[start : start + AT_ONCE]
            self._columns.apply(self._changes(some, [states[name] for name in some]))
        self._known |= {name for name in names if states[name]}
        self._known -= {name for name in names if not states[name]}

    def _changes(self, names: list[bytes], states: list[LiveState | None]) -> Changes:
        """The columns of these items with `states` laid over the release; items of other releases are left out."""
        rows = self._items.rows(names)
        here = np.flatnonzero(rows >= 0)
        changes = Changes(rows[here], self._released.take(rows[here]))
        for i, place in enumerate(here.tolist()):
            if state := states[place]:
                self._lay(state, changes.values, i)
        return changes

    def _lay(self, state: LiveState, values: Visibility, i: int) -> None:
        if state.in_stock is not None:
            values.in_stock[i] = state.in_stock
        if state.flagged is not None:
            values.flagged[i] = state.flagged
        for region, blocked in state.blocked.items():
            word, bit = divmod(self._regions.get(region, -1), REGIONS_PER_WORD)
            if word < 0:
                values.elsewhere[i] |= blocked
                continue
            mask = np.uint64(1) << np.uint64(bit)
            values.blocked[i, word] = values.blocked[i, word] & ~mask | (mask if blocked else np.uint64(0))
