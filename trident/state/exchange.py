"""Commands to one server and their answers, within the time-outs."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import hiredis
import redis
from redis.connection import ConnectionPool, DefaultParser

from trident.state.breaker import Breaker

Command = tuple[Any, ...]
"""The name, one word, and the arguments."""

_MISSING = object()


class Line:
    """A connection of `pool`, that redis-py makes and ends; what goes over it is written and read here.

    redis-py's own way to write and read costs several times as much of the processor as the server's answer.
    """

    def __init__(self, pool: ConnectionPool) -> None:
        connection: Any = pool.get_connection()
        self._pool, self._connection, self._socket = pool, connection, connection._sock
        self._reader = hiredis.Reader(
            protocolError=redis.InvalidResponse, replyError=DefaultParser.parse_error, notEnoughData=_MISSING
        )
        self._arrived = select.poll()
        self._arrived.register(self._socket, select.POLLIN)
        self._process = os.getpid()

    def is_idle(self) -> bool:
        """Whether it is open, of this process, and nothing has arrived that nobody asked for."""
        return not self._arrived.poll(0) and not self._reader.has_data() and self._process == os.getpid()

    def send(self, commands: Sequence[Command]) -> None:
        """Send all commands at once."""
        self._socket.sendall(b"".join([hiredis.pack_command(command) for command in commands]))

    def receive(self, replies: list[Any], count: int, end: float) -> None:
        """Append replies until there are `count`; after `end` (monotonic seconds) only what has arrived by then."""
        while len(replies) < count:
            reply = self._reader.gets()
            if reply is _MISSING:
                self._read(end)
            elif isinstance(reply, redis.ConnectionError):  # it is loading, or wants a password
                raise reply
            else:
                replies.append(reply)

    def close(self) -> None:
        """End the connection."""
        self._connection.disconnect()
        self._pool.release(self._connection)

    def _read(self, end: float) -> None:
        if time.monotonic() > end and not self._arrived.poll(0):
            raise redis.TimeoutError("no answer in time")
        data = self._socket.recv(65_536)
        if not data:
            raise redis.ConnectionError("closed by the server")
        self._reader.feed(data)


@dataclass(eq=False)
class Server:
    """One redis-server: the client whose connections are used, and what keeps requests away from a dead one."""

    client: redis.Redis
    breaker: Breaker
    _idle: list[Line] = field(default_factory=list)  # its pop and append are safe among threads

    def line(self) -> Line:
        """A connection for one exchange: one that lies idle, or a new one."""
        while True:
            try:
                line = self._idle.pop()
            except IndexError:  # there is none, or another thread was faster
                return Line(self.client.connection_pool)
            if line.is_idle():
                return line
            line.close()

    def keep(self, line: Line) -> None:
        """Take a connection back whose exchange is complete."""
        self._idle.append(line)

    def close(self) -> None:
        """Let go of the connections."""
        self._idle.clear()
        self.client.close()


class Exchange:
    """Some commands for one server: sent at once, answered in order.

    An error of the connection counts against the server and stands in place of every reply that has not come; a refusal
    (no memory, read-only, no permission, wrong type) stands for its own command alone.
    """

    def __init__(self, server: Server, commands: Sequence[Command]) -> None:
        self._server, self._commands = server, commands
        self._line: Line | None = None
        self._error: Exception | None = None

    def send(self, latest: float) -> None:
        """Send the commands, unless the server is left alone or it is past `latest` (monotonic seconds)."""
        if time.monotonic() > latest:
            self._error = redis.TimeoutError("no time was left to ask")
        elif not self._server.breaker.allows():
            self._error = redis.ConnectionError("not asked: it did not answer a moment ago")
        else:
            try:
                self._line = self._server.line()
                self._line.send(self._commands)
            except BaseException as error:
                self._fail(error)

    def receive(self, end: float) -> list[Any]:
        """The replies; after `end` (monotonic seconds) only what has arrived by then."""
        replies: list[Any] = []
        if self._line is not None:
            try:
                self._line.receive(replies, len(self._commands), end)
            except BaseException as error:
                self._fail(error)
            else:
                self._server.breaker.succeeded()
                self._server.keep(self._line)
        return replies + [self._error] * (len(self._commands) - len(replies))

    def _fail(self, error: BaseException) -> None:
        """End the connection, and keep the error, as redis-py names it, if it is one of the connection."""
        if self._line is not None:
            self._line.close()
            self._line = None
        if isinstance(error, redis.RedisError):
            self._error = error
        elif isinstance(error, OSError):
            kind = redis.TimeoutError if isinstance(error, TimeoutError) else redis.ConnectionError
            self._error = kind(str(error))
        else:
            raise error
        self._server.breaker.failed()
