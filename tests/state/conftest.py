"""Real redis-servers with TCP, for what the embedded one has not: passwords, TLS, clusters, replicas, signals."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trident.serving.process import Child
from trident.serving.redis import executable


class RedisServer:
    """One redis-server on a port of 127.0.0.1 that keeps its port when it is started again."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder, self.options = folder, options
        self.folder.mkdir()
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.admin = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        self.start()

    def start(self) -> None:
        self.launch()
        while not self._answers():
            assert not self.child.death, (self.folder / "log").read_text()
            time.sleep(0.001)

    def launch(self) -> None:
        command = [executable(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self.child = Child(
            "redis-server", [*command, "--dir", self.folder, *self.options], log=self.folder / "log", folder=self.folder
        )

    def _answers(self) -> bool:
        try:
            return self.admin.ping()
        except redis.ConnectionError:
            return False

    def signal(self, number: signal.Signals) -> None:
        self.child.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.child.process.wait()
        self.child.stop()


def _free_port() -> int:
    """A port whose cluster bus port (10,000 more) is a port as well."""
    while True:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            if (port := s.getsockname()[1]) < 55_000:
                return port


@pytest.fixture(scope="module")
def start_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers and stops them after the module's tests."""
    started: list[RedisServer] = []

    def start(*options: str) -> RedisServer:
        folder = tmp_path_factory.mktemp("redis") / str(len(started))
        started.append(RedisServer(folder, *options))
        return started[-1]

    yield start
    for server in started:
        server.child.stop()
