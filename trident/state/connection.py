"""Redis as requests need it: bounded in time, never asked twice, left alone while it does not answer.

`bounded` is for the path of a request: one server or a cluster behind the same pipeline, whose commands go out to all
servers before the first answer is read. redis-py's own cluster client asks for the topology and repeats commands
within the call, which costs seconds when a server is gone. `connect` is for everything that may wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.cluster import ClusterNode, RedisCluster
from redis.connection import ConnectionPool, SSLConnection, parse_url
from redis.credentials import CredentialProvider
from redis.exceptions import ClusterDownError, MovedError, RedisClusterException
from redis.retry import Retry

from trident.errors import SetupError, Unavailable
from trident.settings import RedisAccess, Settings
from trident.state.breaker import Breaker
from trident.state.cluster import Server, Slots
from trident.state.exchange import Command, Exchange
from trident.state.url import EXPECTED, is_cluster, server_urls, without_password


class BoundedRedis:
    """Redis in the path of a request: `pipeline()` gives redis-py's pipeline, run within `timeout` seconds.

    `first` is the server, or of a cluster the one to ask while `slots`, the map, does not say whom.
    """

    def __init__(self, first: Server, timeout: float, slots: Slots | None = None) -> None:
        self.first, self._timeout, self._slots = first, timeout, slots

    def pipeline(self, transaction: bool = False) -> Pipeline:
        """A pipeline of commands whose first argument is their key; there are no transactions."""
        if transaction:
            raise ValueError("a bounded Redis has no transactions: expected transaction=False")
        return _BoundedPipeline(self)

    def run(self, commands: Sequence[Command]) -> list[Any]:
        """Send all commands, then read all answers: for each its reply, or the error instead of it."""
        if self._slots is not None:
            return self._run_on_cluster(commands, self._slots)
        exchange, now = Exchange(self.first, commands), time.monotonic()
        exchange.send(now + self._timeout)
        return exchange.receive(time.monotonic() + self._timeout)

    def close(self) -> None:
        """Let go of connections; safe to call twice."""
        self.first.close()
        if self._slots is not None:
            self._slots.close()

    def _run_on_cluster(self, commands: Sequence[Command], slots: Slots) -> list[Any]:
        asked: dict[Server, list[int]] = {}
        for place, command in enumerate(commands):
            asked.setdefault(slots.server(command[1]) or self.first, []).append(place)
        latest = time.monotonic() + 2 * self._timeout  # no new server is asked after that
        exchanges = [(Exchange(server, [commands[i] for i in places]), places) for server, places in asked.items()]
        for exchange, _ in exchanges:
            exchange.send(latest)
        end = time.monotonic() + self._timeout
        replies: list[Any] = [None] * len(commands)
        for exchange, places in exchanges:
            for place, reply in zip(places, exchange.receive(end), strict=True):
                replies[place] = reply
        _learn(slots, replies)
        return replies


def _learn(slots: Slots, replies: list[Any]) -> None:
    """What errors among the replies of a cluster say of its map."""
    for reply in replies:
        if isinstance(reply, MovedError):
            slots.moved(int(reply.slot_id), reply.host, int(reply.port))
        elif isinstance(reply, (redis.ConnectionError, redis.TimeoutError, ClusterDownError, OSError)):
            slots.doubt()


class _BoundedPipeline(Pipeline):
    """redis-py's pipeline with another way to run it: replies are as the server sent them."""

    def __init__(self, owner: BoundedRedis) -> None:  # nothing that redis-py needs for its own way
        self._owner = owner
        self.command_stack = []

    def reset(self) -> None:  # type: ignore[override]  # the server has a command of this name
        """Forget the commands."""
        self.command_stack = []

    def execute_command(self, *command: Any, **_: Any) -> _BoundedPipeline:
        """Queue a command; redis-py's options are for reading its reply."""
        self.command_stack.append(command)
        return self

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Run the commands; an error is raised, or with `raise_on_error=False` stands in place of its reply."""
        commands, self.command_stack = self.command_stack, []
        replies = self._owner.run(commands) if commands else []
        if raise_on_error:
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies


def bounded(settings: Settings) -> BoundedRedis:
    """Prepare `settings.redis_url` for the path of a request; nothing is sent before the first one.

    Of a cluster the map of its slots is fetched meanwhile. Raises SetupError when the URL makes no sense.
    """
    access, timeout = RedisAccess.from_environment(), settings.redis_timeout
    options = [_options(url, access, timeout, settings.redis_url) for url in server_urls(settings.redis_url)]
    if not is_cluster(settings.redis_url):
        return BoundedRedis(_server(options[0]), timeout)
    at = _by_address(options[0], timeout)
    patient = _by_address(options[0], 1.0)
    seeds = [(o["host"], o["port"]) for o in options]
    slots = Slots(seeds, at, lambda host, port: patient(host, port).client, timeout)
    return BoundedRedis(at(*seeds[0]), timeout, slots)


def connect(url: str, timeout: float) -> redis.Redis:
    """A client that waits `timeout` seconds at most for a connection or an answer; a single server is asked once.

    A cluster is asked for its map at once. Raises SetupError when the URL makes no sense, Unavailable when no server
    of a cluster answers.
    """
    access = RedisAccess.from_environment()
    options = [_options(one, access, timeout, url) for one in server_urls(url)]
    if not is_cluster(url):
        return redis.Redis.from_pool(ConnectionPool(**options[0]))
    nodes = [ClusterNode(o["host"], o["port"]) for o in options]
    shared = {k: v for k, v in options[0].items() if k not in ("host", "port", "db", "retry", "connection_class")}
    tls = options[0].get("connection_class") is SSLConnection
    try:
        client: Any = RedisCluster(startup_nodes=nodes, retry=Retry(NoBackoff(), 3), ssl=tls, **shared)
    except (redis.RedisError, RedisClusterException, OSError) as error:
        raise Unavailable(f"Redis Cluster at {without_password(url)} does not answer: {error}") from None
    return client


def _by_address(options: dict[str, Any], timeout: float) -> Callable[[str, int], Server]:
    limits = {"socket_timeout": timeout, "socket_connect_timeout": timeout}
    return lambda host, port: _server(options | limits | {"host": host, "port": port})


def _server(options: dict[str, Any]) -> Server:
    name = f"Redis at {options.get('path') or '{}:{}'.format(options.get('host'), options.get('port'))}"
    return Server(redis.Redis.from_pool(ConnectionPool(**options)), Breaker(name))


def _options(url: str, access: RedisAccess, timeout: float, whole: str) -> dict[str, Any]:
    """Arguments of redis-py's pool for one server; `whole` is the address as the user wrote it."""
    try:
        found: dict[str, Any] = {"host": "localhost", "port": 6379} | dict(parse_url(url))
        found |= _access(found, access) | {
            "socket_timeout": timeout, "socket_connect_timeout": timeout, "retry": Retry(NoBackoff(), 0),
            "health_check_interval": 0, "protocol": 2,
        }  # fmt: skip
        if "path" in found:
            del found["host"], found["port"]
        ConnectionPool(**found).make_connection()  # connects to nothing, but refuses what it does not know
    except (ValueError, TypeError, redis.RedisError):  # their texts may quote a password
        raise SetupError(
            f"REDIS_URL {without_password(whole)} cannot be read: expected {EXPECTED} with options of "
            "redis-py, and special characters of user and password percent-encoded"
        ) from None
    return found


def _access(found: dict[str, Any], access: RedisAccess) -> dict[str, Any]:
    """What the URL leaves open; a unix socket is guarded by its folder, so the environment is not meant for it."""
    if "path" in found:
        return {}
    given: dict[str, Any] = {}
    if found.get("connection_class") is SSLConnection:
        files = {"ssl_ca_certs": access.ca_file, "ssl_certfile": access.cert_file, "ssl_keyfile": access.key_file}
        given |= {name: _existing(path) for name, path in files.items() if path and name not in found}
    username = found.get("username") or access.username
    if not found.get("password") and access.password_file:
        found.pop("username", None)
        return given | {"credential_provider": PasswordFile(username, Path(access.password_file))}
    password = found.get("password") or access.password
    return given | {name: value for name, value in (("username", username), ("password", password)) if value}


def _existing(path: str) -> str:
    if not Path(path).is_file():
        raise SetupError(f"REDIS_CA_FILE, REDIS_CERT_FILE or REDIS_KEY_FILE: there is no file '{Path(path).name}'")
    return path


class PasswordFile(CredentialProvider):
    """User and password for each new connection, the password from the first line of a file."""

    def __init__(self, username: str, path: Path) -> None:
        self._username, self._path = username, path

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """(user, password), or the password alone of the default user; raises ConnectionError without the file."""
        try:
            password = self._path.read_text("utf-8").split("\n", 1)[0].strip()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise redis.ConnectionError(f"REDIS_PASSWORD_FILE {self._path.name} cannot be read: {why}") from None
        return (self._username, password) if self._username else (password,)
