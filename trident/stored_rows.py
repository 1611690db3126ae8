"""Rows of an array in a file, read when they are asked for.

A mapped file stays in the memory of a process as far as it was touched, and the kernel maps what lies around a page
along with it. The vectors of ten million items would be 2.5 GB in a process that reads 50 of them for one request in a
hundred.
"""

from __future__ import annotations

import os
import weakref
from pathlib import Path

import numpy as np

from trident.errors import ReleaseError


class StoredRows:
    """The rows of a two-dimensional .npy file; looks like its array where that is asked for rows."""

    def __init__(self, path: Path) -> None:
        """Open the file; raise ReleaseError for one that is no such array."""
        try:
            header = np.load(path, mmap_mode="r")
        except (OSError, ValueError, EOFError, SyntaxError) as error:
            raise ReleaseError(f"{path.parent.name}/{path.name} cannot be read: {error}") from None
        if header.ndim != 2 or not header.flags.c_contiguous:
            raise ReleaseError(f"{path.parent.name}/{path.name}: expected rows, got shape {list(header.shape)}")
        self.shape, self.dtype, self._offset = header.shape, header.dtype, int(header.offset)
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """A copy of `rows` (m,) int64, each from 0 to len - 1: (m, columns)."""
        found = np.empty((len(rows), self.shape[1]), self.dtype)
        length = found.dtype.itemsize * self.shape[1]
        for place, row in zip(found.view(np.uint8), rows.tolist(), strict=True):
            if os.preadv(self._file, [place], self._offset + row * length) != length:
                raise IndexError(f"row {row} of {len(self)}")
        return found
