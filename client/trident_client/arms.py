"""Which model answers which users while a canary runs: what all recommenders know of the experiment.

The router `recommend_ab` says which experiment runs and with which share. A client reads that now and then and deals
the users itself, with the function that the router uses; so it needs the router for requests of both arms alone.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from trident.contract import CANARY_SHARE, EXPERIMENT, RECOMMEND, RECOMMEND_AB, RECOMMEND_CANARY, ModelContract
from trident.experiment import in_canary
from trident_client.codec import Output
from trident_client.errors import InvalidRequest, NotServed, RecommenderError

REFRESH_S = 10.0
READ_S, FIRST_S = 0.05, 0.25
"""What a read may take of a call, in seconds; the second as long as nothing is known."""

AGAIN_S = 1.0
"""After so many seconds it is tried again as long as nothing is known."""

LEAST_S = 0.001
"""A request that comes too late is told so by the transport, in its words."""

SAID = (EXPERIMENT.name, CANARY_SHARE.name)
"""The outputs of the router that tell of the experiment; who asks for them alone gets no items and needs no inputs."""

NONE = ("", 0.0)


def left(end: float) -> float:
    """The seconds until `end`, of the monotonic clock."""
    return max(end - time.monotonic(), LEAST_S)


class Arms:
    """The experiment as it was last read, every `refresh` seconds at most; None: users are never dealt. Thread-safe."""

    def __init__(self, refresh: float | None) -> None:
        if refresh is not None and not (isinstance(refresh, (int, float)) and 0 <= refresh < math.inf):
            raise InvalidRequest(f"canary_refresh: expected seconds, or None for never, got {refresh!r}")
        self._refresh = refresh
        self._known: tuple[str, float] | None = None
        self._next = 0.0
        self._lock = threading.Lock()

    def due(self) -> bool:
        """Whether the caller is to read; it alone is told so until the next time."""
        if self._refresh is None or time.monotonic() < self._next:
            return False
        with self._lock:
            now = time.monotonic()
            if now < self._next:
                return False
            self._next = now + (self._refresh if self._known else min(AGAIN_S, self._refresh))
            return True

    def seconds(self, left: float) -> float:
        """What a read may take of an attempt that has `left` seconds."""
        return min(READ_S if self._known else FIRST_S, left / 4)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Learn from how a read ended; what is known stays when it failed, and a server without a router has none."""
        try:
            yield
        except NotServed:
            self._learn(NONE)
        except RecommenderError:
            return

    def read(self, output: Output) -> None:
        """Take over what the router says; what cannot be read is passed over."""
        name, share = (output(said) for said in SAID)
        if isinstance(name, np.ndarray) and isinstance(share, np.ndarray) and name.size and share.size:
            self._learn((name.flat[0].decode("utf-8", "replace"), float(share.flat[0])))

    def _learn(self, known: tuple[str, float]) -> None:
        self._known = known
        if self._refresh is not None:
            self._next = time.monotonic() + self._refresh

    def models(self, users: Sequence[str]) -> tuple[ModelContract, ...]:
        """The models to ask for these users, each when the one before it has failed; the last is `recommend`."""
        name, share = self._known or NONE
        if not name or not share > 0:
            return (RECOMMEND,)
        chosen = {in_canary(user.encode(), name, share) for user in users}
        if chosen == {False}:
            return (RECOMMEND,)
        return (RECOMMEND_CANARY if chosen == {True} else RECOMMEND_AB, RECOMMEND)

    @contextmanager
    def trying(self) -> Iterator[None]:
        """Let a failure pass, for `recommend` is asked next; where a model is gone the next call reads why."""
        try:
            yield
        except NotServed:
            self._next = 0.0
        except RecommenderError:
            return
