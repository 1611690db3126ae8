"""Several clients that ask without a pause, each request under an id of its own, and what became of every request."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from trident_client import HttpRecommender, Recommender, RecommenderError

DEADLINE = 20.0  # seconds: a request that is lost is not mistaken for one that takes long
CLIENTS = (Recommender, Recommender, HttpRecommender, HttpRecommender)
ITEMS = 20
PAUSE = 0.005  # seconds after a failure


class Fate(Enum):
    """What became of a request."""

    ANSWERED = "answered"
    FAILED = "failed"  # the server answered that it could not
    REFUSED = "refused"  # the server answered that it does not serve the model any more
    CUT = "cut off"  # the connection ended instead of an answer
    NEVER_SENT = "not sent"  # nobody listened


SIGNS = (
    (Fate.REFUSED, ("has no available versions", "unknown model")),
    (Fate.NEVER_SENT, ("failed to connect to all addresses", "Connection refused")),
    (
        Fate.CUT,
        (
            "Remote end closed",
            "Connection reset",
            "Broken pipe",
            "Socket closed",
            "GOAWAY",
            "CANCELLED",
            "no answer within",
        ),
    ),
)
"""The first that an error's text has of these; any other text is an answer of the server."""


@dataclass(frozen=True)
class Sent:
    """One request: protocol, id, user, when it began and ended in monotonic seconds, and what came back."""

    protocol: str
    id: str
    user: str
    began: float
    ended: float
    items: int = 0
    error: str = ""

    @property
    def fate(self) -> Fate:
        """What became of it."""
        if not self.error:
            return Fate.ANSWERED
        return next((fate for fate, signs in SIGNS if any(sign in self.error for sign in signs)), Fate.FAILED)


class Traffic:
    """Asks for random users from `with` on until the end of the block; `sent` grows meanwhile.

    With `record` the server remembers what it answered: under the request's id, and as shown to the user.
    """

    def __init__(self, grpc: str, http: str, users: Sequence[str], *, record: bool) -> None:
        self.sent: list[Sent] = []
        self._users, self._record, self._stopped = users, record, threading.Event()
        self._clients = [kind(grpc if kind is Recommender else http, deadline=DEADLINE) for kind in CLIENTS]
        self._threads = [threading.Thread(target=self._run, args=row) for row in enumerate(self._clients)]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        for client in self._clients:
            client.close()

    def _run(self, number: int, client: Recommender | HttpRecommender) -> None:
        choose, count = random.Random(number), 0
        while not self._stopped.is_set():
            count += 1
            self.sent.append(one := self._ask(client, f"{number}-{count}", choose.choice(self._users)))
            if one.error:
                time.sleep(PAUSE)

    def _ask(self, client: Recommender | HttpRecommender, request_id: str, user: str) -> Sent:
        protocol, began = "gRPC" if isinstance(client, Recommender) else "HTTP", time.monotonic()
        try:
            answer = client.recommend(user, record=self._record, request_id=request_id)
            return Sent(protocol, request_id, user, began, time.monotonic(), len(set(answer.item_ids)))
        except RecommenderError as error:
            return Sent(protocol, request_id, user, began, time.monotonic(), error=str(error))

    def wait_for(self, enough: Callable[[list[Sent]], bool], patience: float) -> bool:
        """Wait until `enough` says so of what was sent; False after `patience` seconds."""
        end = time.monotonic() + patience
        while not enough(list(self.sent)):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True
