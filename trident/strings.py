"""A column of UTF-8 strings as two memory-mapped arrays: all bytes in a row, and where each string starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import ID
from trident.errors import InvalidInput, ReleaseError


@dataclass(frozen=True)
class StringColumn:
    """`offsets` is (n + 1,) int64, `data` is (offsets[-1],) uint8; string i is data[offsets[i]:offsets[i + 1]]."""

    offsets: np.ndarray
    data: np.ndarray

    @classmethod
    def open(cls, folder: Path, name: str) -> StringColumn:
        """Map the column `name` of `folder`; nothing is read until it is asked for."""
        return cls(mapped(folder / f"{name}.offsets.npy"), mapped(folder / f"{name}.bytes.npy"))

    @staticmethod
    def write(folder: Path, name: str, values: Sequence[bytes]) -> None:
        """Write `values` as the column `name` of `folder`."""
        offsets = np.zeros(len(values) + 1, np.int64)
        np.cumsum([len(v) for v in values], out=offsets[1:])
        np.save(folder / f"{name}.offsets.npy", offsets)
        np.save(folder / f"{name}.bytes.npy", np.frombuffer(b"".join(values), np.uint8))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> bytes:
        return self.data[self.offsets[row] : self.offsets[row + 1]].tobytes()

    def take(self, rows: np.ndarray) -> list[bytes]:
        """The strings at `rows` (n,), in that order."""
        starts, ends = self.offsets[rows].tolist(), self.offsets[np.asarray(rows) + 1].tolist()
        return [self.data[s:e].tobytes() for s, e in zip(starts, ends, strict=True)]


def mapped(path: Path) -> np.ndarray:
    """The array of a .npy file, memory-mapped, as a plain ndarray: slices of numpy's memmap class cost more.

    Raises ReleaseError for a file that is not whole.
    """
    try:
        return np.asarray(np.load(path, mmap_mode="r"))
    except (ValueError, EOFError, SyntaxError) as error:  # what numpy says of a damaged file
        raise ReleaseError(f"{path.parent.name}/{path.name} cannot be read: {error}") from None


def check_ids(kind: str, ids: Sequence[bytes]) -> None:
    """Raise InvalidInput that names the first id which no request could name."""
    for row, name in enumerate(ids):
        if problem := ID.problem(name):
            raise InvalidInput(f"{kind} ids, row {row}: expected {ID.expected()}, got {problem}: {name[:40]!r}")
