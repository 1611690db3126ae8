"""Rows of item ids: by a hash in mapped files, and those that a process asked for lately from its memory."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import numba
import numpy as np

from trident.contract import NO_ITEM
from trident.strings import StringColumn

SLOTS = 1 << 19
"""Ids whose rows a process remembers at most, a power of two: 32 MB."""
WORDS = 7
"""Longer ids than 55 bytes are not remembered: with its row each has one line of the processor's cache."""


@dataclass(frozen=True)
class ItemIds:
    """The rows of `column`; finding an id among 10 million takes 2.5 µs, remembering it 0.2. Any thread may ask."""

    column: StringColumn
    hashes: np.ndarray  # (n,) uint64, ascending
    order: np.ndarray  # (n,) int32, the row of each hash
    _slots: np.ndarray = field(default_factory=lambda: np.zeros((SLOTS, WORDS + 1), np.uint64))  # id, row

    def rows(self, names: Sequence[bytes]) -> np.ndarray:
        """Rows of ids: (n,) int64, NO_ITEM for an id that is not there."""
        words = np.array(names, f"S{8 * WORDS}").view(np.uint64).reshape(-1, WORDS)
        rows = _remembered(self._slots, words)
        new = np.flatnonzero(rows == NO_ITEM)
        if len(new):
            rows[new] = self._found([names[i] for i in new.tolist()])
            _remember(self._slots, words, rows, new)
        return rows

    def _found(self, names: Sequence[bytes]) -> np.ndarray:
        wanted = np.array([id_hash(name) for name in names], np.uint64)
        ends = np.cumsum([len(name) for name in names])
        asked = np.frombuffer(b"".join(names), np.uint8)
        return _rows_of(wanted, asked, ends, self.hashes, self.order, self.column.offsets, self.column.data)


def id_hash(item_id: bytes) -> int:
    """The 64-bit hash under which an item id is found: BLAKE2b, little-endian."""
    return int.from_bytes(hashlib.blake2b(item_id, digest_size=8).digest(), "little")


@numba.njit(cache=True)  # no thread writes meanwhile
def _remembered(slots, words):
    """Rows (n,) int64 of ids, padded to `words` (n, WORDS) uint64; NO_ITEM where another id, or none, is remembered."""
    rows = np.full(len(words), NO_ITEM, np.int64)
    for i in range(len(words)):
        first = _place(words[i], len(slots))
        for place in (first, first + 1):
            if words[i, 0] and _same(slots[place], words[i], WORDS):
                rows[i] = np.int64(slots[place, WORDS])
                break
    return rows


@numba.njit(cache=True)
def _remember(slots, words, rows, places):
    """Remember the rows of the ids at `places` (m,) that are there, and not too long to be told apart.

    An id has two slots beside each other; what was in the first moves to the second, and what was there is forgotten.
    """
    for i in places:
        if rows[i] != NO_ITEM and words[i, WORDS - 1] >> 56 == 0:
            first = _place(words[i], len(slots))
            slots[first + 1] = slots[first]
            slots[first, :WORDS] = words[i]
            slots[first, WORDS] = rows[i]


@numba.njit(cache=True)
def _same(some, others, count):
    """Whether the first `count` of both are the same; numpy's own comparison takes four times as long on so few."""
    same = True
    for i in range(count):
        same &= some[i] == others[i]
    return same


@numba.njit(cache=True)
def _place(words, slots):
    """The first slot of an id among `slots`, an even one: words are multiplied in, upper bits folded onto the lower."""
    mixed = np.uint64(0)
    for word in words:
        mixed = (mixed ^ word) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    return np.int64(mixed & np.uint64(slots - 2))


@numba.njit(cache=True, nogil=True)
def _rows_of(wanted, asked, ends, hashes, order, offsets, data):
    """Rows (n,) int64 of ids by hash and by their bytes, up to `ends` each, in `asked`; -1 for an unknown one."""
    rows = np.full(len(wanted), NO_ITEM, np.int64)
    begin = 0
    for i in range(len(wanted)):
        place = np.searchsorted(hashes, wanted[i])
        while place < len(hashes) and hashes[place] == wanted[i]:
            row, length = order[place], ends[i] - begin
            first = offsets[row]
            if offsets[row + 1] - first == length and _same(data[first:], asked[begin:], length):
                rows[i] = row
                break
            place += 1
        begin = ends[i]
    return rows
