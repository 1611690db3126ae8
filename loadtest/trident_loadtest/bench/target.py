"""The server under test: its addresses, and the processes of this machine that make it up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trident.errors import Unavailable
from trident.locations import DEFAULT_REPOSITORY
from trident.running import RunningServer, at_address, serving_repository
from trident.serving import stubs
from trident_loadtest.processes import tree

DEFAULT_URL = "127.0.0.1:8001"


@dataclass(frozen=True)
class Target:
    """Where to send, and what is known of the server; of one on another machine it is the address alone."""

    grpc: str
    http: str = ""
    metrics: str = ""
    repository: Path | None = None
    server: int = 0  # process id of tritonserver
    redis: int = 0  # of redis-server, where it is one of ours

    def processes(self) -> dict[int, str]:
        """What runs now: process id → what it is."""
        if not self.server:
            return {}
        named = {pid: stub.model for pid, stub in stubs.living(self.server).items()}
        named |= {self.server: "tritonserver"} | ({self.redis: "redis-server"} if self.redis else {})
        others = tree(self.server) - set(named)
        return named | dict.fromkeys(others, "other children of tritonserver")


@contextmanager
def target_of(url: str | None, repository: Path | None) -> Iterator[Target]:
    """The server at `url`; or one that is started for `repository`; or the one that runs on this machine."""
    if repository is not None:
        from trident_loadtest.serve_process import ServeProcess

        with ServeProcess(repository) as own:
            yield _described(own.note)
        return
    note = at_address(url or DEFAULT_URL) or (None if url else serving_repository(DEFAULT_REPOSITORY))
    if note is None and url is None:
        raise Unavailable(
            f"no server runs at {DEFAULT_URL}: start `trident serve`, name one with --url, or have one started with "
            "--repository"
        )
    yield _described(note) if note else Target(url or DEFAULT_URL)


def _described(note: RunningServer) -> Target:
    port = f"--grpc-port={note.grpc.rpartition(':')[2]}"
    family = {pid: _command(pid) for pid in tree(note.pid)}
    server = next((pid for pid, words in family.items() if port in words), 0)
    ports = dict(word.lstrip("-").split("=", 1) for word in family.get(server, []) if word.startswith("--metrics-"))
    socket = note.redis_url.removeprefix("unix://")
    # a Redis writes over its command line: "…/redis-server unixsocket:/…/redis.sock"
    redis = next((pid for pid, words in family.items() if words and _is_redis(words[0], socket)), 0)
    metrics = f"{ports['metrics-address']}:{ports['metrics-port']}" if len(ports) == 2 else ""
    return Target(note.grpc, note.http, metrics, Path(note.repository), server, redis)


def _is_redis(title: str, socket: str) -> bool:
    return Path(title.split(" ")[0]).name == "redis-server" and title.endswith(f":{socket}")


def _command(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode("utf-8", "replace").split("\0")
    return []


def cpu_seconds(pid: int) -> float:
    """Seconds that a process has computed so far, its own and the system's for it; 0 when it is gone."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
