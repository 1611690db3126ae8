"""What a server runs and how much memory it takes, from /proc."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path


def tree(pid: int) -> set[int]:
    """A process and all its descendants."""
    found = {pid}
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in task.read_text().split():
                found |= tree(int(child))
    return found


def memory(processes: Iterable[int]) -> int:
    """Bytes that processes hold together, what they share counted once (PSS)."""
    total = 0
    for one in processes:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) << 10 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total
