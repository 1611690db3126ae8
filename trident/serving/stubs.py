"""The Python processes of a tritonserver: one per instance of a model, found among its children in /proc.

One that ends in good order is reaped by the server at once. One that crashed or was killed stays, a zombie: the server
notices nothing, and every request that needs it fails until the model is loaded again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "triton_python_backend_stub"
PROC = Path("/proc")
Version = tuple[str, int]


@dataclass(frozen=True)
class Stub:
    """What a process serves: `instance` is Triton's name for it, like candidates_0_0."""

    model: str
    version: int
    instance: str

    @property
    def of(self) -> Version:
        """The version of the model that it belongs to: a load starts all processes of it."""
        return self.model, self.version


def living(server: int) -> dict[int, Stub]:
    """The stubs of the server with process id `server`, by process id."""
    found = {pid: _stub(pid) for pid, state in _children(server) if state != "Z"}
    return {pid: stub for pid, stub in found.items() if stub}


def dead(server: int) -> set[int]:
    """Process ids of children of the server that have ended and that it has not noticed."""
    return {pid for pid, state in _children(server) if state == "Z"}


def _children(server: int) -> Iterator[tuple[int, str]]:
    """Process id and state of every child."""
    for pid in _candidates(server):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, parent = (PROC / pid / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if int(parent) == server:
                yield int(pid), state


def _candidates(server: int) -> list[str]:
    """Process ids among which the children are: what each thread lists, or all where the kernel keeps no lists."""
    lists = list((PROC / str(server) / "task").glob("*/children"))
    if not lists:
        return [folder.name for folder in PROC.glob("[0-9]*")]
    found: list[str] = []
    for children in lists:
        with contextlib.suppress(OSError):
            found += children.read_text().split()
    return found


def _stub(pid: int) -> Stub | None:
    """What a process serves by its command line, `STUB repository/model/version/file … instance backend`."""
    try:
        words = (PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        file = Path(words[1])
        return (
            Stub(file.parent.parent.name, int(file.parent.name), words[8]) if Path(words[0]).name == PROGRAM else None
        )
    except (OSError, ValueError, IndexError):
        return None
