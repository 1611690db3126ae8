"""Which servers run on this machine: each leaves a note that other commands of the same user can find."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from trident.settings import REDIS

LOOPBACK = ("localhost", "[::1]")


@dataclass(frozen=True)
class RunningServer:
    """A server started by `trident serve`; addresses are "127.0.0.1:port"."""

    repository: str
    http: str
    grpc: str
    redis_url: str
    pid: int
    feature_source: str = REDIS


@contextlib.contextmanager
def announced(server: RunningServer) -> Iterator[None]:
    """Leave the note for as long as the server runs."""
    folder = _folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    note = folder / f"{server.grpc.rpartition(':')[2]}.json"  # no two servers have the same port
    descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(server), file)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


def serving_repository(repository: Path) -> RunningServer | None:
    """The server of this machine that serves `repository`, or None."""
    wanted = str(repository.resolve())
    return next((server for server in _running() if server.repository == wanted), None)


def at_address(address: str) -> RunningServer | None:
    """The server of this machine behind a gRPC or HTTP address "host:port", or None."""
    for name in LOOPBACK:
        address = address.replace(f"{name}:", "127.0.0.1:")
    return next((server for server in _running() if address in (server.grpc, server.http)), None)


def _running() -> Iterator[RunningServer]:
    folder = _folder()
    if not folder.is_dir() or folder.stat().st_uid != os.getuid():  # somebody else's notes are not believed
        return
    for note in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            server = RunningServer(**json.loads(note.read_text("utf-8")))
            os.kill(server.pid, 0)  # raises when that process is gone
            yield server


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"trident-{os.getuid()}"
