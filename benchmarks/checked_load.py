"""Requests at a fixed rate from several clients, each answer kept whole, so that it can be compared afterwards."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.variants import Answer, material
from trident_client import Recommender, RecommenderError

CLIENTS = 8
DEADLINE = 5.0  # seconds


@dataclass(frozen=True)
class Reply:
    """One request: for whom, when it was due (monotonic seconds), the seconds from then on, and what came."""

    user: str
    due: float
    seconds: float
    release: int = 0
    lacks: tuple[str, ...] = ()
    answer: Answer = ((), ())
    error: str = ""


class CheckedLoad:
    """Asks for random users as of `timestamp`, `rate` times per second in all, from `with` on; `replies` grows.

    The load is open: each of the 8 clients has its own times, `CLIENTS / rate` seconds apart. One that is late asks at
    once, and the time of its request counts from when it was due.
    """

    def __init__(self, address: str, users: Sequence[str], timestamp: int, rate: float, seed: int = 1) -> None:
        self.replies: list[Reply] = []
        self._users, self._timestamp, self._rate, self._seed = users, timestamp, rate, seed
        self._address = address
        self._stopped = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(n,), name=f"client {n}") for n in range(CLIENTS)]

    def __enter__(self) -> CheckedLoad:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int) -> None:
        due, users = self._began + number / self._rate, random.Random(100 * self._seed + number)
        with Recommender(self._address, deadline=DEADLINE) as recommender:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                self.replies.append(self._ask(recommender, users.choice(self._users), due))
                due += CLIENTS / self._rate

    def _ask(self, recommender: Recommender, user: str, due: float) -> Reply:
        try:
            got = recommender.recommend(user, timestamp=self._timestamp, record=False)
        except RecommenderError as error:
            return Reply(user, due, time.monotonic() - due, error=str(error))
        answer = tuple(item.item_id for item in got.items), tuple(item.score for item in got.items)
        return Reply(user, due, time.monotonic() - due, got.release, material(got.degraded), answer)
