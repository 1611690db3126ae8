"""The user rows that a release brings for Redis, and the row that stands in for a user nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import USER_FEATURES
from trident.errors import InvalidInput, ReleaseError, reason
from trident.strings import StringColumn, check_ids, mapped

HISTORY = 50
OLDEST = 150  # years
COLUMNS = {
    "features": np.float32,  # (n, 40) as of the release's `as_of`
    "region": np.int32,  # (n,) home region: code in the vocabulary, -1 unknown
    "age": np.int32,  # (n,) years, -1 unknown
    "history": np.int64,  # (n, 50) rows of the items clicked or bought last, newest first, -1 pads
    "history_at": np.int64,  # (n, 50) unix second of the newest such event of each, 0 pads
}


CONSUMED = ("ends", "items", "times")


@dataclass(frozen=True)
class Consumed:
    """Items that n users consumed, by the rules of the release: those of user u are at ends[u − 1] to ends[u]."""

    ends: np.ndarray  # (n,) int64
    items: np.ndarray  # (m,) int64 item rows
    times: np.ndarray  # (m,) int64 unix seconds of the newest such event

    def of(self, user: int) -> tuple[np.ndarray, np.ndarray]:
        """Item rows and times of one user."""
        part = slice(int(self.ends[user - 1]) if user else 0, int(self.ends[user]))
        return self.items[part], self.times[part]

    @classmethod
    def nothing(cls, users: int) -> Consumed:
        """What `users` have that never consumed anything."""
        return cls(np.zeros(users, np.int64), np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def open(cls, folder: Path, users: int) -> Consumed:
        """Map the columns; raise ReleaseError when they do not fit each other."""
        ends, items, times = columns = [mapped(folder / f"consumed_{name}.npy") for name in CONSUMED]
        last = int(ends[-1]) if len(ends) else 0
        lengths = [len(column) for column in columns]
        if lengths != [users, last, last] or any(column.dtype != np.int64 for column in columns):
            raise ReleaseError(
                f"user columns 'consumed': expected {users} ends and {last} items and times of int64, got {lengths}"
            )
        return cls(ends, items, times)

    def write(self, folder: Path) -> None:
        """Write the columns."""
        for name in CONSUMED:
            np.save(folder / f"consumed_{name}.npy", np.ascontiguousarray(getattr(self, name), np.int64))


@dataclass(frozen=True)
class UserRows:
    """The columns of n users, memory-mapped; see COLUMNS."""

    ids: StringColumn
    features: np.ndarray
    region: np.ndarray
    age: np.ndarray
    history: np.ndarray
    history_at: np.ndarray
    consumed: Consumed

    @classmethod
    def open(cls, folder: Path) -> UserRows:
        """Map the columns of `folder`; raise ReleaseError when one is missing or of another length."""
        try:
            ids = StringColumn.open(folder, "ids")
            columns = {name: mapped(folder / f"{name}.npy") for name in COLUMNS}
            consumed = Consumed.open(folder, len(ids))
        except (OSError, ValueError) as error:
            raise ReleaseError(f"user rows cannot be read: {reason(error)}") from None
        for name, column in columns.items():
            if len(column) != len(ids) or column.dtype != COLUMNS[name]:
                raise ReleaseError(
                    f"user column '{name}': expected {len(ids)} rows of {np.dtype(COLUMNS[name])}, "
                    f"got {len(column)} of {column.dtype}"
                )
        return cls(ids, **columns, consumed=consumed)

    def __len__(self) -> int:
        return len(self.ids)


def write_users(
    folder: Path, ids: Sequence[str], default: np.ndarray, consumed: Consumed | None = None, **columns: np.ndarray
) -> None:
    """Write the user rows of a release; `default` (40,) float32 is the row of an unknown user.

    Without `consumed` nobody has consumed anything.

    Raises InvalidInput for an id that no request could name, or for an age that nobody has.
    """
    names = [i.encode() for i in ids]
    check_ids("user", names)
    ages = np.asarray(columns["age"])
    if len(wrong := np.flatnonzero((ages < -1) | (ages > OLDEST))):
        raise InvalidInput(f"user {ids[wrong[0]]!r}: age: expected 0 to {OLDEST}, or -1, got {ages[wrong[0]]}")
    folder.mkdir(parents=True, exist_ok=True)
    StringColumn.write(folder, "ids", names)
    for name, dtype in COLUMNS.items():
        np.save(folder / f"{name}.npy", np.ascontiguousarray(columns[name], dtype))
    (consumed or Consumed.nothing(len(ids))).write(folder)
    np.save(folder / "default.npy", np.ascontiguousarray(default, np.float32))


def read_default(path: Path) -> np.ndarray:
    """The row of an unknown user: (40,) float32."""
    row = mapped(path)
    if row.shape != (USER_FEATURES,) or row.dtype != np.float32:
        raise ReleaseError(f"{path.name}: expected ({USER_FEATURES},) float32, got {row.shape} {row.dtype}")
    return row
