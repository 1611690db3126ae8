"""The trial of a release: it is examined in a child process, within limits of time and memory.

What a damaged file does to a library (a crash, an endless loop, all of the memory) it does to the child alone.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trident.errors import ReleaseError

EXAMINATION = (sys.executable, "-m", "trident_export.publishing.examination")
GIB = 1 << 30
LOWEST = 19  # priority of a process
LOOK = 0.05  # seconds between two looks at the child's memory
OUT_OF_MEMORY = ("MemoryError", "bad_alloc", "annot allocate memory", "nable to allocate", "unable to mmap")
Check = dict[str, Any]
"""{"name", "limit", "got", "running", "passed"} of one quality gate."""


@dataclass(frozen=True)
class Limits:
    """What the examination may take: seconds, and GiB of memory that is its own (mapped files do not count)."""

    seconds: float = 900.0
    memory_gib: float = 8.0


def examine(
    release: Path,
    against: tuple[Path, int] | None,
    gates: Mapping[str, Any],
    limits: Limits,
    command: Sequence[str] = EXAMINATION,
) -> list[Check]:
    """Have a release folder examined in a child process, against release `against` = (repository, number).

    Returns the quality gates, passed or not. Raises ReleaseError when the release is broken, when the child crashes,
    and when it takes more time or memory than `limits` allow.
    """
    running = [str(against[0]), against[1]] if against else None
    question = json.dumps({"release": str(release), "against": running, "gates": dict(gates)})
    child = _Child(command, limits)
    answer = child.ask(question)
    if answer["problem"]:
        raise ReleaseError(str(answer["problem"]))
    return list(answer["checks"])


class _Child:
    """One child process and what watches over it."""

    def __init__(self, command: Sequence[str], limits: Limits) -> None:
        self._limits, self._most = limits, int(limits.memory_gib * GIB)
        self._too_large = False
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            start_new_session=True, cwd="/",  # nothing is imported from where somebody stands
        )  # fmt: skip
        os.setpriority(os.PRIO_PROCESS, self._process.pid, LOWEST)  # what serves on this machine goes first
        seconds = int(limits.seconds * (os.cpu_count() or 1)) + 1  # so that it ends even when we are killed
        resource.prlimit(self._process.pid, resource.RLIMIT_CPU, (seconds, seconds))
        resource.prlimit(self._process.pid, resource.RLIMIT_DATA, (2 * self._most, 2 * self._most))

    def ask(self, question: str) -> dict[str, Any]:
        """The answer on the child's last line; raise ReleaseError when there is none."""
        watcher = threading.Thread(target=self._watch, daemon=True)
        watcher.start()
        try:
            output, errors = self._process.communicate(question, timeout=self._limits.seconds)
        except subprocess.TimeoutExpired:
            raise ReleaseError(
                f"examination: expected an end within {self._limits.seconds:g} s, got none (--trial-seconds)"
            ) from None
        finally:
            self._kill()
            watcher.join()
        if self._process.returncode != 0:
            raise ReleaseError(self._death(errors))
        return _parsed(output)

    def _watch(self) -> None:
        """Kill the child when its own memory is more than it may have."""
        while self._process.poll() is None:
            if _own_memory(self._process.pid) > self._most:
                self._too_large = True
                self._kill()
                return
            time.sleep(LOOK)

    def _kill(self) -> None:
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return

    def _death(self, errors: str) -> str:
        if self._too_large or any(sign in errors for sign in OUT_OF_MEMORY):
            return (
                f"examination: expected at most {self._limits.memory_gib:g} GiB of memory, got more "
                "(--trial-memory; mapped files apart)"
            )
        code = self._process.returncode
        last = (errors.strip().splitlines() or ["it says nothing"])[-1][:300]
        if code < 0:
            return f"examination: expected an answer, got a crash with {_signal_name(-code)}: {last}"
        return f"examination: expected an answer, got exit code {code}: {last}"


def _own_memory(pid: int) -> int:
    """Bytes of memory of a process that no file stands behind; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:")), 0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _parsed(output: str) -> dict[str, Any]:
    lines = output.strip().splitlines()
    try:
        answer = json.loads(lines[-1])
        return {"problem": answer["problem"], "checks": answer["checks"]}
    except (IndexError, ValueError, KeyError, TypeError):
        raise ReleaseError(f"examination: expected an answer as JSON, got {lines[-1:] or 'nothing'}") from None
