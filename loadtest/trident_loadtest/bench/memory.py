"""How much memory processes hold, with what they share counted once."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PARTS = ("Pss", "Pss_Anon", "Pss_File", "Pss_Shmem", "Rss")


@dataclass(frozen=True)
class Memory:
    """Bytes of one process, or of several together.

    `pss` is what a process holds alone and its share of what it has mapped with others, so the sum over all processes
    counts each page once: `anon` is its own memory, `file` pages of mapped files (index, item columns, libraries),
    which the kernel may drop and read again, `shmem` the shared memory in which tensors travel. `rss` counts shared
    pages in full. Pages of files that no process has mapped are in the page cache and counted nowhere here.
    """

    pss: int = 0
    anon: int = 0
    file: int = 0
    shmem: int = 0
    rss: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(
            self.pss + other.pss, self.anon + other.anon, self.file + other.file, self.shmem + other.shmem,
            self.rss + other.rss,
        )  # fmt: skip


def memory_of(pid: int) -> Memory:
    """What a process holds now; nothing when it is gone."""
    with contextlib.suppress(OSError):
        lines = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        found = {words[0].rstrip(":"): int(words[1]) << 10 for words in lines}
        return Memory(*(found.get(part, 0) for part in PARTS))
    return Memory()


def memory_by_name(processes: Mapping[int, str]) -> dict[str, Memory]:
    """What the processes of each name hold together."""
    total: dict[str, Memory] = {}
    for pid, name in processes.items():
        total[name] = total.get(name, Memory()) + memory_of(pid)
    return total
