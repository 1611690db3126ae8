"""Which server of a Redis Cluster holds a key: a map that is fetched in the background, never by a request."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from trident.state.exchange import Server

Address = tuple[str, int]
PAUSE_S = 0.5
"""At least so many seconds lie between two fetches of the map."""


class Slots:
    """The map of slots to servers; thread-safe.

    `at` makes the server for requests at an address, `patient` a client that may wait for the map. What a server says
    of a slot that moved holds at once; where it is doubted that a server is alive the map is fetched again.
    """

    def __init__(
        self,
        seeds: Sequence[Address],
        at: Callable[[str, int], Server],
        patient: Callable[[str, int], redis.Redis],
        patience: float,
    ) -> None:
        self._seeds, self._at, self._patient, self._patience = list(seeds), at, patient, patience
        self._servers: dict[Address, Server] = {}
        self._map: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._known, self._doubted, self._stopped = threading.Event(), threading.Event(), threading.Event()
        self._first = True
        self._doubted.set()
        self._thread = threading.Thread(target=self._run, name="redis-cluster", daemon=True)
        self._thread.start()

    def server(self, key: str | bytes) -> Server | None:
        """The server of a key; None while that is not known, for which the very first request waits a little."""
        if self._first:
            self._first = False
            self._known.wait(self._patience)
        return self._map[key_slot(key.encode() if isinstance(key, str) else key)]

    def moved(self, slot: int, host: str, port: int) -> None:
        """Believe a server that says where a slot lies now."""
        if host:  # left out when it is the one that said it
            self._map[slot] = self._server((host, port))
        self.doubt()

    def doubt(self) -> None:
        """Have the map fetched again soon."""
        self._doubted.set()

    def close(self) -> None:
        """End the thread and let go of connections."""
        self._stopped.set()
        self._doubted.set()
        self._thread.join()
        for server in self._servers.values():
            server.close()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._doubted.wait()
            self._doubted.clear()
            if not self._stopped.is_set() and not self._fetch():
                self._doubted.set()
            self._stopped.wait(PAUSE_S)

    def _fetch(self) -> bool:
        """Take the map of the first server that gives one; False when none does."""
        known = list({*self._servers, *self._seeds})
        for host, port in random.sample(known, len(known)):
            with contextlib.suppress(redis.RedisError, OSError, ValueError, IndexError, TypeError):
                with self._patient(host, port) as client:
                    ranges: list[Any] = client.execute_command("CLUSTER SLOTS")
                if ranges:
                    self._map = self._drawn(ranges, host)
                    self._known.set()
                    return True
        return False

    def _drawn(self, ranges: list[Any], asked: str) -> list[Server | None]:
        """The map from the answer of a server, which may leave out its own name."""
        drawn: list[Server | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        for first, last, (host, port, *_), *_ in ranges:
            server = self._server(((host or b"").decode() or asked, int(port)))
            drawn[int(first) : int(last) + 1] = [server] * (int(last) + 1 - int(first))
        return drawn

    def _server(self, address: Address) -> Server:
        if address not in self._servers:
            self._servers.setdefault(address, self._at(*address))
        return self._servers[address]
