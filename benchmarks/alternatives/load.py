"""Requests at a fixed rate over HTTP/1.1 with connections that are kept: the same generator for every server.

The time of a request counts from the moment at which it was due, so that a server that stalls is not spared the
requests of that time. A server may have several addresses; each request goes to the one with the fewest under way.
"""

from __future__ import annotations

import asyncio
import resource
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import uvloop

CONNECTIONS = 128
"""At most, to all addresses together."""
BACKLOG = 2.0  # seconds of requests under way at which a run is given up: the server does not keep up
PATIENCE = 30.0  # seconds for the last answers
END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Run:
    """What became of the requests of one run."""

    rate: float  # that was asked for, per second
    sent: int
    failed: int  # refused, cut off or never answered
    p50_ms: float
    p99_ms: float
    late_ms: float  # 99th percentile of how late the generator sent: it is within the times above
    generator: float  # share of one core that the generator took
    kept_up: bool  # False where the run was given up
    cpu_ms: float = float("nan")  # that the server's processes computed per request

    def within(self, limit_ms: float) -> bool:
        """Whether every request was answered, and 99 of 100 within the limit."""
        return self.kept_up and not self.failed and self.p99_ms < limit_ms


class Connection(asyncio.Protocol):
    """One request at a time; tells its pool of each answer."""

    def __init__(self, pool: Pool) -> None:
        self._pool, self._buffer, self._missing = pool, b"", -1
        self.due = 0.0

    def connection_made(self, transport: Any) -> None:
        """Be ready for requests."""
        self.transport = transport

    def ask(self, request: bytes, due: float) -> None:
        """Send one request."""
        self.due, self._buffer, self._missing = due, b"", -1
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Collect an answer until it is whole."""
        self._buffer += data
        if self._missing < 0:
            head = self._buffer.find(END_OF_HEAD)
            if head < 0:
                return
            self._missing = head + len(END_OF_HEAD) + content_length(self._buffer[:head])
        if len(self._buffer) >= self._missing:
            self._pool.answered(self, self._buffer[:12].endswith(b" 200"))

    def connection_lost(self, error: Exception | None) -> None:
        """Count what was under way as failed."""
        self._pool.lost(self)


def content_length(head: bytes) -> int:
    """Bytes of the body; raise ValueError for an answer that does not say."""
    lowered = head.lower()
    at = lowered.index(b"content-length:") + len(b"content-length:")
    return int(lowered[at:].split(b"\r\n", 1)[0])


class Pool:
    """Connections to the addresses of one server, and what waits for one of them."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._free: dict[str, list[Connection]] = {}
        self._of: dict[Connection, str] = {}
        self._busy: dict[str, int] = {}
        self._waiting: deque[tuple[bytes, float]] = deque()

    @property
    def under_way(self) -> int:
        """Requests that have no answer yet."""
        return sum(self._busy.values()) + len(self._waiting)

    async def connect(self, addresses: Sequence[str]) -> None:
        """Open all connections."""
        loop = asyncio.get_running_loop()
        for address in addresses:
            host, _, port = address.rpartition(":")
            self._free[address], self._busy[address] = [], 0
            for _ in range(CONNECTIONS // len(addresses)):
                _, connection = await loop.create_connection(lambda: Connection(self), host, int(port))
                self._free[address].append(connection)
                self._of[connection] = address

    def ask(self, request: bytes, due: float) -> None:
        """Send a request on a free connection to the least busy address, or let it wait for one."""
        free = [address for address, connections in self._free.items() if connections]
        if not free:
            self._waiting.append((request, due))
            return
        address = min(free, key=self._busy.__getitem__)
        self._busy[address] += 1
        self._free[address].pop().ask(request, due)

    def answered(self, connection: Connection, good: bool) -> None:
        """Note the time, and let the connection take what waits."""
        if good:
            self.seconds.append(time.monotonic() - connection.due)
        else:
            self.failed += 1
        self._release(connection)

    def lost(self, connection: Connection) -> None:
        """Do without a connection that was closed."""
        address = self._of.pop(connection)
        if connection in self._free[address]:
            self._free[address].remove(connection)
        else:
            self._busy[address] -= 1
            self.failed += 1

    def _release(self, connection: Connection) -> None:
        if self._waiting:
            connection.ask(*self._waiting.popleft())
        else:
            address = self._of[connection]
            self._busy[address] -= 1
            self._free[address].append(connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in list(self._of):
            connection.transport.abort()


def run(addresses: Sequence[str], requests: Sequence[bytes], rate: float, seconds: float) -> Run:
    """Send `requests` in turn, `rate` per second for `seconds`, and wait for the last answers."""
    return uvloop.run(_run(addresses, requests, rate, seconds))


async def _run(addresses: Sequence[str], requests: Sequence[bytes], rate: float, seconds: float) -> Run:
    pool, late = Pool(), []
    await pool.connect(addresses)
    start, before, ask = time.monotonic(), _cpu(), cycle(requests)
    total = max(1, round(rate * seconds))
    kept_up = True
    for number in range(total):
        due = start + number / rate
        while (wait := due - time.monotonic()) > 0:
            await asyncio.sleep(wait)
        if pool.under_way > max(BACKLOG * rate, CONNECTIONS):
            kept_up = False
            break
        late.append(time.monotonic() - due)
        pool.ask(next(ask), due)
        if number % 8 == 7:
            await asyncio.sleep(0)  # answers are read even when the generator is behind
    await _until(lambda: not pool.under_way, PATIENCE)
    lasted, spent = time.monotonic() - start, _cpu() - before
    left, done, failed = pool.under_way, np.array(pool.seconds or [np.nan]), pool.failed
    pool.close()
    p50, p99 = np.percentile(1000 * done, [50, 99])
    late_ms = 1000 * float(np.percentile(late, 99))
    return Run(rate, len(late), failed + left, float(p50), float(p99), late_ms, spent / lasted, kept_up and not left)


async def _until(done: Callable[[], bool], patience: float) -> None:
    end = time.monotonic() + patience
    while not done() and time.monotonic() < end:
        await asyncio.sleep(0.01)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
