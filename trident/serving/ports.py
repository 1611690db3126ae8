"""Loopback ports: pick free ones, and say who holds a taken one."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from pathlib import Path

from trident.errors import SetupError

HOST = "127.0.0.1"
LISTENING = "0A"  # the kernel's code for TCP_LISTEN in /proc/net/tcp


@dataclass(frozen=True)
class Ports:
    """The three ports of a server on 127.0.0.1; 0 picks a free one."""

    http: int = 8000
    grpc: int = 8001
    metrics: int = 8002

    def __post_init__(self) -> None:
        named = [p for p in (self.http, self.grpc, self.metrics) if p]
        if len(set(named)) < len(named) or not all(0 < p < 65536 for p in named):
            raise SetupError(
                f"ports: expected three different numbers from 1 to 65535, or 0 for a free one, "
                f"got {self.http}, {self.grpc} and {self.metrics}"
            )

    def settle(self) -> Ports:
        """Check the named ports and pick the others; raise SetupError when one is taken."""
        with contextlib.ExitStack() as held:
            taken = {}
            for name in ("http", "grpc", "metrics"):
                holder = held.enter_context(_bound(getattr(self, name), name))
                taken[name] = holder.getsockname()[1]
        return Ports(**taken)


def _bound(port: int, name: str) -> socket.socket:
    """A socket that holds `port`, so that no other choice of the same call gets it."""
    holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        holder.bind((HOST, port))
        holder.listen(1)
    except OSError as error:
        holder.close()
        raise SetupError(_refusal(port, name, error)) from None
    return holder


def _refusal(port: int, name: str, error: OSError) -> str:
    """Why `port` cannot be had, and which flag chooses another."""
    if not isinstance(error, PermissionError):
        by = owner(port)
        return (
            f"port {port} ({name}) is taken{f' by {by}' if by else ''}: stop that, or choose another with --{name}-port"
        )
    return f"port {port} ({name}) may not be bound by this user: choose one above 1023 with --{name}-port"


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    try:
        _bound(port, "").close()
    except SetupError:
        return False
    return True


def owner(port: int) -> str:
    """The process that listens on `port`, as "name (pid n)"; "" when it cannot be found out."""
    inodes = _listening_inodes(port)
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            links = (str(entry.readlink()) for entry in (process / "fd").iterdir())
            if any(link in inodes for link in links):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return ""


def _listening_inodes(port: int) -> set[str]:
    """The sockets that listen on `port`, as /proc/PID/fd links name them."""
    inodes = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                    inodes.add(f"socket:[{columns[9]}]")
    return inodes
