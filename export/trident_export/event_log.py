"""The events of a dataset as arrays, and the moments at which a user might have asked."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

_TIMES = np.int64(1) << 40  # more seconds than any timestamp: user · _TIMES + time orders by user, then time
POSITIVE = ("click", "purchase")
"""Events that make an item a right answer."""
UNKNOWN = -1


@dataclass(frozen=True)
class Log:
    """Events as arrays (n,), sorted by user, then time; users and items are rows of their lists."""

    user: np.ndarray  # int64
    item: np.ndarray  # int64
    time: np.ndarray  # int64 unix seconds
    positive: np.ndarray  # bool: clicked or bought
    viewed: np.ndarray  # bool
    device: np.ndarray  # int64 code, -1 unknown
    region: np.ndarray  # int64 code, -1 unknown

    @classmethod
    def of(
        cls,
        user: np.ndarray,
        item: np.ndarray,
        time: np.ndarray,
        kind: np.ndarray,
        device: np.ndarray | None = None,
        region: np.ndarray | None = None,
    ) -> Log:
        """Sort events with `kind` (n,) of event type names; within a second the order is by item, then type."""
        unknown = np.full(len(time), UNKNOWN, np.int64)
        order = np.lexsort((kind, item, time, user))
        columns = (user, item, time, np.isin(kind, POSITIVE), kind == "view")
        codes = (unknown if column is None else column for column in (device, region))
        return cls(*(column[order] for column in (*columns, *codes)))

    def __len__(self) -> int:
        return len(self.time)

    def where(self, keep: np.ndarray | slice) -> Log:
        """The events of a mask (n,), a slice, or positions in rising order."""
        return Log(*(getattr(self, f.name)[keep] for f in fields(self)))

    def between(self, start: int, end: int) -> Log:
        """The events with start ≤ time < end."""
        return self.where((self.time >= start) & (self.time < end))

    def position(self, user: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Where the events of `user` (q,) from `time` (q,) on begin: (q,) int64."""
        return np.searchsorted(self.user * _TIMES + self.time, user * _TIMES + time)

    def touched(self, requests: Requests) -> list[np.ndarray]:
        """Per request the distinct rows of the items that its user had any event with before that second."""
        begin = self.position(requests.user, np.zeros_like(requests.time))
        end = self.position(requests.user, requests.time)
        return [np.unique(self.item[b:e]) for b, e in zip(begin, end, strict=True)]


@dataclass(frozen=True)
class Requests:
    """Moments at which a user might have asked; arrays (q,) int64."""

    user: np.ndarray  # row of the user list
    time: np.ndarray  # unix seconds
    device: np.ndarray  # code, -1 unknown
    region: np.ndarray  # code, -1 unknown

    @classmethod
    def at(cls, log: Log, positions: np.ndarray) -> Requests:
        """Requests by the users, and at the time and place, of the events at `positions` (q,)."""
        return cls(*(getattr(log, f.name)[positions] for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.time)

    def take(self, rows: np.ndarray) -> Requests:
        """The requests at `rows` (m,)."""
        return Requests(*(getattr(self, f.name)[rows] for f in fields(self)))


def first_requests(log: Log, start: int, end: int) -> Requests:
    """One request per user, at his first event in [start, end)."""
    window = log.between(start, end)
    return Requests.at(window, np.unique(window.user, return_index=True)[1])
