"""Every Python process of the server is killed once under load."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from trident.contract import COMMITTED
from trident.serving import stubs
from trident.serving.healing import Healer
from trident.serving.serve import Serving
from trident_client import Recommender, RecommenderError

HEALED_WITHIN = 5.0  # seconds


@dataclass(frozen=True)
class Asked:
    """One request: when it was asked, when it ended (monotonic seconds), and how it failed, "" when it did not."""

    began: float
    ended: float
    error: str


@pytest.fixture
def said(served, look_after) -> Iterator[list[str]]:
    """What `trident serve` prints of its processes."""
    server: Serving = served.server
    lines: list[str] = []
    healer = Healer(server.triton.child.pid, server.triton.repository, server.http, lines.append, server.key)
    with look_after(healer, 0.2):
        yield lines


@pytest.fixture
def asked(served) -> Iterator[list[Asked]]:
    """What becomes of the requests of three clients that ask all the time."""
    done: list[Asked] = []
    stop = threading.Event()

    def ask() -> None:
        with Recommender(served.server.grpc, deadline=10) as recommender:
            while not stop.is_set():
                began, error = time.monotonic(), ""
                try:
                    assert len(recommender.recommend("u1", record=False).items) == 20
                except RecommenderError as failure:
                    error = str(failure)
                done.append(Asked(began, time.monotonic(), error))
                time.sleep(0.01)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    yield done
    stop.set()
    for thread in threads:
        thread.join()


def test_what_was_in_flight_fails_clearly_and_within_5_seconds_all_is_well_again(served, said, asked, grpc):
    server = served.server.triton.child.pid
    victims = stubs.living(server)
    assert {stub.model for stub in victims.values()} == {
        model.name for model in COMMITTED if model.backend != "ensemble"
    }
    for pid, stub in victims.items():
        before, killed = len(said), time.monotonic()
        os.kill(pid, signal.SIGKILL)
        while not any(line.startswith(f"{stub.model} 1: answers again") for line in said[before:]):
            assert time.monotonic() - killed < HEALED_WITHIN, said
            time.sleep(0.01)
        answered = sum(not one.error for one in asked)
        while sum(not one.error for one in asked) < answered + 6:  # by all three, one after the other
            assert time.monotonic() - killed < HEALED_WITHIN, asked[-3:]
            time.sleep(0.01)
    failed = [one for one in asked if one.error]
    assert all("is not healthy" in one.error for one in failed)
    assert len(failed) <= 4 * len(victims)
    for _ in range(200):
        assert len(grpc.recommend("u2", record=False).items) == 20
