"""The Python processes of a tritonserver: one per instance of a model, found among its children in /proc.

One that ends in good order is reaped by the server at once. One that crashed or was killed stays, a zombie: the server
notices nothing, and every request that needs it fails until the model is loaded again.
"""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable, Iterator
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
    return living_and_dead(server)[0]


def dead(server: int) -> set[int]:
    """Process ids of children of the server that have ended and that it has not noticed."""
    return living_and_dead(server)[1]


def living_and_dead(server: int) -> tuple[dict[int, Stub], set[int]]:
    """Both at one moment; one that is just ending may be in neither: the kernel first takes its memory, then tells."""
    states = dict(_children(server))
    found = {pid: _stub(pid) for pid, state in states.items() if state != "Z"}
    return {pid: stub for pid, stub in found.items() if stub}, {pid for pid, state in states.items() if state == "Z"}


def is_child(pid: int, server: int) -> bool:
    """Whether process `pid` is a child of the server, living, ending or dead."""
    try:
        return _state_and_parent(str(pid))[1] == server
    except OSError:
        return False


def wait_for_an_end(pids: Iterable[int], seconds: float) -> None:
    """Return when one of the processes has ended, or after so many seconds."""
    waiting, opened = select.poll(), []
    try:
        for pid in pids:
            opened.append(os.pidfd_open(pid))
            waiting.register(opened[-1], select.POLLIN)
        waiting.poll(1000 * seconds)
    except ProcessLookupError:
        return
    except OSError:  # a system without descriptors of processes
        time.sleep(min(seconds, 0.2))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _children(server: int) -> Iterator[tuple[int, str]]:
    """Process id and state of every child."""
    for pid in _candidates(server):
        with contextlib.suppress(OSError):  # it ended meanwhile
            state, parent = _state_and_parent(pid)
            if parent == server:
                yield int(pid), state


def _state_and_parent(pid: str) -> tuple[str, int]:
    state, parent = (PROC / pid / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
    return state, int(parent)


def _candidates(server: int) -> list[str]:
    """Process ids among which the children are: what each thread lists, or all where the kernel keeps no lists."""
    threads = PROC / str(server) / "task"
    if not (threads / str(server) / "children").is_file():
        return [folder.name for folder in PROC.iterdir() if folder.name.isdigit()]
    found: list[str] = []
    for thread in threads.iterdir():
        with contextlib.suppress(OSError):
            found += (thread / "children").read_text().split()
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
