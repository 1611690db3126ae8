"""`trident serve` as a process of its own, and what there is of it on this machine: before its end, and after."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from trident.errors import Unavailable
from trident.running import RunningServer, at_address
from trident_loadtest.processes import tree

LONGEST_END = 40.0  # seconds


@dataclass(frozen=True)
class Traces:
    """The processes, with the moments of their start, and the files and folders that a server made for itself."""

    processes: frozenset[tuple[int, str]]
    paths: frozenset[Path]

    def left(self) -> list[str]:
        """Those that are still there."""
        running = [f"process {pid}" for pid, started in self.processes if started and _started(pid) == started]
        return [*running, *(str(path) for path in self.paths if path.exists())]


class ServeProcess:
    """`trident serve` with an embedded Redis on free ports, from `with` on; it gets SIGTERM at the end of the block.

    `said` has the lines that it prints for people, each with the moment in monotonic seconds. Raises Unavailable when
    it does not come up.
    """

    def __init__(self, repository: Path) -> None:
        self.said: list[tuple[float, str]] = []
        self._command = [
            sys.executable, "-m", "trident.cli", "serve", "--repository", str(repository),
            "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0",
        ]  # fmt: skip

    def __enter__(self) -> ServeProcess:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()
        lines = self._announced()
        self.http, self.grpc = lines["HTTP"].split("/")[2], lines["gRPC"]
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()
        self._listener.join()
        self._process.__exit__(None, None, None)

    def _announced(self) -> dict[str, str]:
        """What it prints until it is ready, by the first word of each line."""
        found: dict[str, str] = {}
        for line in self._process.stdout or ():
            if line.startswith("ready"):
                return found
            word, _, rest = line.strip().partition(" ")
            found[word] = rest.strip()
        self._listener.join()
        raise Unavailable(f"`trident serve` did not start: {' | '.join(text for _, text in self.said)}")

    def _listen(self) -> None:
        for line in self._process.stderr or ():
            self.said.append((time.monotonic(), line.strip()))

    @property
    def note(self) -> RunningServer:
        """What it says of itself to other commands."""
        found = at_address(self.grpc)
        if found is None:
            raise Unavailable(f"`trident serve` at {self.grpc} left no note")
        return found

    def children(self) -> set[int]:
        """All processes that it started, directly or not."""
        return tree(self._process.pid) - {self._process.pid}

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM and wait; the exit code and the seconds that it took. Kills it after 40 s."""
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(LONGEST_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        return code, time.monotonic() - began

    def traces(self) -> Traces:
        """What there is of it now: processes, shared memory, the folders that they work in, and the socket of Redis."""
        pids = self.children()
        paths = {path for pid in pids for path in _shared_memory(pid)}
        paths |= {path for pid in pids for path in _folder(pid)} - {Path.cwd()}
        paths.add(Path(self.note.redis_url.removeprefix("unix://")))
        pids |= {self._process.pid}
        return Traces(frozenset((pid, _started(pid)) for pid in pids), frozenset(paths))


def _started(pid: int) -> str:
    """When the process began, "" when it has ended, though its parent may not have noticed."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _folder(pid: int) -> set[Path]:
    """Where a process works; nowhere when it has ended and nobody has noticed."""
    try:
        return {Path(f"/proc/{pid}/cwd").readlink()}
    except OSError:
        return set()


def _shared_memory(pid: int) -> set[Path]:
    """The regions in /dev/shm that a process maps."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {Path(line.split(None, 5)[5]) for line in lines if "/dev/shm/" in line and not line.endswith("(deleted)")}
