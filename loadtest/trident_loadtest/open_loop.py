"""Requests at a fixed rate, whether the earlier ones are answered or not, through the client library."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from trident_client import Recommender, RecommenderError

WORKERS = 64
"""Requests that may be under way; at 50/s that is more than a second's worth."""


@dataclass(frozen=True)
class Sample:
    """One request: when it was due (monotonic seconds), how long it took from then on, and what came."""

    due: float
    seconds: float
    items: int = 0
    degraded: tuple[str, ...] = ()
    error: str = ""


class OpenLoop:
    """Asks for random users `rate` times per second from `start` until `stop`; then all samples are there.

    The time of a request counts from when it was due, so that a server that stalls is not spared the requests of that
    time.
    """

    def __init__(self, address: str, users: Sequence[str], rate: float, seed: int = 1, deadline: float = 1.0) -> None:
        self.samples: list[Sample] = []
        self._users, self._pause, self._random = users, 1 / rate, random.Random(seed)
        self._recommender = Recommender(address, deadline=deadline)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="open-loop")

    def __enter__(self) -> OpenLoop:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join()
        self._recommender.close()

    def _run(self) -> None:
        due = time.monotonic()
        with ThreadPoolExecutor(WORKERS) as workers:
            while not self._stopped.wait(max(0.0, due - time.monotonic())):
                workers.submit(self._ask, due, self._random.choice(self._users))
                due += self._pause

    def _ask(self, due: float, user: str) -> None:
        try:
            answer = self._recommender.recommend(user)
            sample = Sample(due, time.monotonic() - due, len(set(answer.item_ids)), answer.degraded)
        except RecommenderError as error:
            sample = Sample(due, time.monotonic() - due, error=str(error))
        self.samples.append(sample)


def percentile(samples: Sequence[Sample], share: float) -> float:
    """Milliseconds within which `share` of the samples were answered; NaN for none."""
    ordered = sorted(sample.seconds for sample in samples)
    if not ordered:
        return float("nan")
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
