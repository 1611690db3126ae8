"""Which replica gets a call, and how much of the deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Generic, TypeVar

from trident_client.errors import DeadlineExceeded, InvalidRequest, RecommenderError

REST_S = 5.0
"""For so many seconds a replica that failed comes last."""

T = TypeVar("T")


def addresses(urls: str | Sequence[str]) -> list[str]:
    """Turn "a:8001,b:8001" or ["a:8001", "b:8001"] into a list; raise InvalidRequest for what is not host:port."""
    listed = urls.split(",") if isinstance(urls, str) else list(urls)
    found = [url.strip() for url in listed]
    for url in found or [""]:
        host, colon, port = url.rpartition(":")
        if not (host and colon and port.isdecimal()) or "/" in url:
            raise InvalidRequest(f"url: expected host:port or a list of them, got {url!r}")
    return found


class Replicas(Generic[T]):
    """The replicas of one endpoint, asked in turn; thread-safe."""

    def __init__(self, transports: Sequence[T]) -> None:
        self._transports = list(transports)
        self._turn = count()
        self._rests_until = [0.0] * len(self._transports)

    def __iter__(self) -> Iterator[T]:
        return iter(self._transports)

    def attempts(self, deadline: float) -> Attempts[T]:
        """The attempts of one call that may take `deadline` seconds in all."""
        n, turn, now = len(self._transports), next(self._turn), time.monotonic()
        order = sorted(((turn + i) % n for i in range(n)), key=lambda r: self._rests_until[r] > now)
        return Attempts(self, order, now + deadline)

    def transport(self, replica: int) -> T:
        """The transport of one replica."""
        return self._transports[replica]

    def rest(self, replica: int) -> None:
        """Let this replica come last for a while."""
        self._rests_until[replica] = time.monotonic() + REST_S


class Attempts(Generic[T]):
    """One call: each replica at most once, until one answers or the time is up.

    A replica may use its share of the time that is left, so that a silent one leaves time for the next.
    """

    def __init__(self, replicas: Replicas[T], order: Sequence[int], end: float) -> None:
        self._replicas, self._order, self._end = replicas, order, end
        self.error: RecommenderError = DeadlineExceeded("no time was left for an attempt")

    def __iter__(self) -> Iterator[tuple[int, T, float]]:
        for position, replica in enumerate(self._order):
            left = self._end - time.monotonic()
            if left > 0:
                yield replica, self._replicas.transport(replica), left / (len(self._order) - position)

    @contextmanager
    def trying(self, replica: int) -> Iterator[None]:
        """Keep an error that another replica may not have; a bad request is bad everywhere and goes to the caller."""
        try:
            yield
        except InvalidRequest:
            raise
        except RecommenderError as error:
            self.error = error
            self._replicas.rest(replica)
