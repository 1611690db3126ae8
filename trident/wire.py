"""A kept-alive HTTP/1.1 connection on which everything ends at a deadline: connecting, sending and reading together.

The blocking client of tritonclient keeps a gevent hub per thread, which outlives the thread with its file descriptors,
and its time-outs hold for each packet alone; this is the standard library. The server asks Feast through it too.
"""

from __future__ import annotations

import http.client
import socket
import time


class DeadlineSocket(socket.socket):
    """A socket whose sends and reads all end at `end`, on the clock of time.monotonic."""

    end = 0.0

    def recv_into(self, *args, **kwargs) -> int:
        """Read what is there; raise TimeoutError at `end`."""
        self.settimeout(_left(self.end))
        return super().recv_into(*args, **kwargs)

    def sendall(self, *args, **kwargs) -> None:
        """Send all; raise TimeoutError at `end`."""
        self.settimeout(_left(self.end))
        super().sendall(*args, **kwargs)


class Connection(http.client.HTTPConnection):
    """One connection to host:port, used by one thread at a time."""

    sock: DeadlineSocket

    def request_until(
        self, end: float, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request and read its whole answer; raise TimeoutError at `end`."""
        if self.sock is None:
            self._open(end)
        self.sock.end = end
        self.request(method, path, body, headers or {})
        response = self.getresponse()
        return response, response.read()

    def _open(self, end: float) -> None:
        plain = socket.create_connection((self.host, self.port), _left(end))
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = DeadlineSocket(fileno=plain.detach())

    def alive(self) -> bool:
        """Whether the other side has neither closed an idle connection nor said something unasked."""
        if self.sock is None:
            return False
        self.sock.settimeout(0)
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False


def _left(end: float) -> float:
    left = end - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
