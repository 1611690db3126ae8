"""Commands to one server and their answers, within the time-outs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import redis
from redis.exceptions import ResponseError

from trident.state.breaker import Breaker

Command = tuple[tuple, dict[str, Any]]
"""Arguments, name first, and redis-py's options for reading the reply."""


@dataclass(eq=False)
class Server:
    """One redis-server: the client whose connections are used, and what keeps requests away from a dead one."""

    client: redis.Redis
    breaker: Breaker

    def close(self) -> None:
        """Let go of the connections."""
        self.client.close()


class Exchange:
    """Some commands for one server: sent at once, answered in order.

    An error of the connection counts against the server and stands in place of every reply that has not come; a refusal
    (no memory, read-only, no permission, wrong type) stands for its own command alone.
    """

    def __init__(self, server: Server, commands: Sequence[Command]) -> None:
        self._server, self._commands = server, commands
        self._connection: Any = None
        self._error: Exception | None = None

    def send(self, latest: float) -> None:
        """Send the commands, unless the server is left alone or it is past `latest` (monotonic seconds)."""
        if time.monotonic() > latest:
            self._error = redis.TimeoutError("no time was left to ask")
        elif not self._server.breaker.allows():
            self._error = redis.ConnectionError("not asked: it did not answer a moment ago")
        else:
            self._guarded(self._write)

    def receive(self, end: float) -> list[Any]:
        """The replies; after `end` (monotonic seconds) only what has arrived by then."""
        replies: list[Any] = []
        if self._connection is not None:
            self._guarded(lambda: self._read(replies, end))
        if self._error is None:
            self._server.breaker.succeeded()
            self._release()
        return replies + [self._error] * (len(self._commands) - len(replies))

    def _write(self) -> None:
        self._connection = connection = self._server.client.connection_pool.get_connection()
        connection.send_packed_command(connection.pack_commands([arguments for arguments, _ in self._commands]))

    def _read(self, replies: list[Any], end: float) -> None:
        for arguments, options in self._commands:
            if time.monotonic() > end and not self._connection.can_read(0):
                raise redis.TimeoutError("no answer in time")
            try:
                replies.append(self._server.client.parse_response(self._connection, arguments[0], **options))
            except ResponseError as refusal:
                replies.append(refusal)

    def _guarded(self, step: Callable[[], None]) -> None:
        """Run one step; after an error the connection is not used again."""
        try:
            step()
        except (redis.RedisError, OSError) as error:
            self._error = error
            self._release(broken=True)
            self._server.breaker.failed()
        except BaseException:
            self._release(broken=True)
            raise

    def _release(self, broken: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            if broken:
                connection.disconnect()
            self._server.client.connection_pool.release(connection)
