"""How many requests are under way between the first step and the last, and the word that there are too many.

Whoever asks for more than a server can do is refused before any work is done for him, so that the others are
answered in time. The steps are processes of their own: they count in a small file in memory that they share, under a
lock that the kernel frees when a process dies. Triton's own bound, `max_queue_size`, is not used, because it leaves
requests waiting while the model is idle (`docs/decisions/0013-requests-are-admitted-at-the-first-step.md`).
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trident.errors import Unavailable

FILE = "TRIDENT_UNDER_WAY"
"""Names the file for all processes of a server; without it everything is admitted."""
PER_CORE = 15
"""Requests per core: so many that a burst is taken in."""
OVERLOADED, WELL = 0.3, 0.1
"""Once as many are under way as may be, this share of them is the limit, so that those that are admitted are answered
in time, until the smaller share shows that the server keeps up again."""
QUIET = 0.2
"""Up to this share, nobody is refused soon."""
BUSY = "too many requests are under way"
FORGOTTEN = 4.0
"""Seconds after which a request counts no more that never came to the last step, since a step between failed."""


class Admission:
    """The requests of one server that are under way; every process that opens the same file sees the same ones.

    The file holds a number per request that may be under way: the ticket of one that is, which is the nanosecond at
    which it was admitted, or 0. One more number says whether too many came lately.
    """

    def __init__(self, path: Path, most: int) -> None:
        """Open or make the file; at most `most` requests are under way."""
        self.most = most
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.ftruncate(self._file, 8 * (most + 1))
        numbers = np.memmap(path, np.int64, "r+")
        self._tickets, self._overloaded = np.asarray(numbers[:most]), np.asarray(numbers[most:])

    @classmethod
    def of_environment(cls, most: int) -> Admission | None:
        """That of the server which started this process, if it has one; `most` 0 stands for PER_CORE."""
        path = os.environ.get(FILE)
        return cls(Path(path), most or PER_CORE * len(os.sched_getaffinity(0))) if path else None

    def enter(self, now: int | None = None) -> int:
        """The ticket of one more request; raise Unavailable where too many are under way. `now`: monotonic ns."""
        now = time.monotonic_ns() if now is None else now
        with self._locked() as (tickets, overloaded):
            tickets[tickets < now - int(FORGOTTEN * 1e9)] = 0
            under_way = np.count_nonzero(tickets)
            overloaded[0] = under_way >= self.most or (overloaded[0] and under_way > WELL * self.most)
            if under_way >= (OVERLOADED * self.most if overloaded[0] else self.most):
                raise Unavailable(f"{BUSY}, {under_way}: ask another replica, or later")
            ticket = max(now, int(tickets.max()) + 1)
            tickets[np.argmin(tickets)] = ticket
        return ticket

    @property
    def quiet(self) -> bool:
        """Whether few are under way, as far as can be seen without the lock."""
        return np.count_nonzero(self._tickets) <= QUIET * self.most

    def leave(self, ticket: int) -> None:
        """Note that the request with this ticket has ended; one that was forgotten does no harm."""
        with self._locked() as (tickets, _):
            tickets[tickets == ticket] = 0

    def close(self) -> None:
        """Let go of the file; it stays for the other processes."""
        os.close(self._file)

    @contextmanager
    def _locked(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            yield self._tickets, self._overloaded
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
