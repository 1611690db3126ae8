"""What only the HTTP side can meet: sockets that drip, close or speak something else."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from trident_client import DeadlineExceeded, HttpRecommender, Recommender, RecommenderError, ServerError, Unreachable


@pytest.fixture
def listener() -> Iterator[Callable[[Callable[[socket.socket], None]], str]]:
    """Serves each connection with a function on a thread of its own."""
    threads, opened = [], []

    def start(talk: Callable[[socket.socket], None]) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        server.settimeout(5)
        opened.append(server)

        def accept() -> None:
            try:
                connection, _ = server.accept()
                with connection:
                    talk(connection)
            except OSError:
                pass

        threads.append(threading.Thread(target=accept))
        threads[-1].start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield start
    for server in opened:
        server.close()
    for thread in threads:
        thread.join(10)


def _drip(connection: socket.socket) -> None:
    connection.recv(65536)
    for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 100:
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def test_an_answer_that_drips_in_ends_at_the_deadline(listener):
    start = time.monotonic()
    with HttpRecommender(listener(_drip), deadline=0.3) as recommender, pytest.raises(DeadlineExceeded):
        recommender.recommend("u")
    assert time.monotonic() - start < 0.6


def test_a_connection_that_is_cut_in_the_middle_is_unreachable(listener):
    def cut(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf")

    with HttpRecommender(listener(cut), canary_refresh=None) as recommender, pytest.raises(Unreachable):
        recommender.recommend("u")


def test_an_answer_of_something_else_is_told_as_such(listener):
    def page(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>")

    with (
        HttpRecommender(listener(page), canary_refresh=None) as recommender,
        pytest.raises(ServerError, match="not Triton's HTTP endpoint"),
    ):
        recommender.recommend("u")


def test_swapped_ports_are_told_as_such(server, connect, kind):
    wrong = server.grpc if kind.__name__.endswith("HttpRecommender") else server.http
    with pytest.raises(Unreachable, match=r"is the port right|failed to connect"):
        connect(wrong).recommend("u")


def test_threads_share_a_recommender(server):
    for kind in (HttpRecommender, Recommender):
        with kind(server.url(kind), deadline=10.0) as recommender:
            wrong = []

            def ask(name: str, recommender=recommender, wrong=wrong) -> None:
                try:
                    answers = [recommender.recommend(f"{name}-{i}", limit=1).item_ids for i in range(20)]
                    wrong.extend(a for i, a in enumerate(answers) if a != (f"{name}-{i}|0|1",))
                except RecommenderError as error:
                    wrong.append(error)

            threads = [threading.Thread(target=ask, args=(f"t{i}",)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert wrong == []


def test_a_connection_is_used_again_until_it_is_closed(server):
    with HttpRecommender(server.http) as recommender:
        [transport] = recommender._replicas
        recommender.recommend("u")
        [first] = transport._idle
        recommender.recommend("u")
        assert list(transport._idle) == [first]
        first.sock.shutdown(socket.SHUT_RDWR)  # as a server that went away
        assert recommender.recommend("u", limit=1).item_ids == ("u|0|1",)
        assert first not in transport._idle


def test_grpc_needs_no_http_package():
    code = (
        "import sys; from trident_client import Recommender; Recommender('127.0.0.1:9').close();"
        "print(sorted({'aiohttp', 'gevent', 'tritonclient.http'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
