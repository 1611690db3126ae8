from __future__ import annotations

import os
import threading
import time

from trident.admission import BUSY, PER_CORE
from trident_client import Recommender, RecommenderError

CALLERS = PER_CORE * len(os.sched_getaffinity(0)) + 40
"""More than may be under way."""


def connect(recommender: Recommender) -> None:
    while True:
        try:
            recommender.recommend("u1", record=False)
            return
        except RecommenderError:
            time.sleep(0.05)


def test_more_callers_than_may_be_under_way_are_refused_at_once_and_the_others_answered(served):
    answers: list[int] = []
    refused: list[tuple[str, float]] = []
    begin = threading.Barrier(CALLERS)

    def ask(caller: int) -> None:
        with Recommender(served.server.grpc, deadline=20) as recommender:
            connect(recommender)
            begin.wait()
            for turn in range(5):
                began = time.monotonic()
                try:
                    answers.append(len(recommender.recommend(f"u{caller}-{turn}", record=False).items))
                except RecommenderError as error:
                    refused.append((str(error), time.monotonic() - began))

    callers = [threading.Thread(target=ask, args=(caller,)) for caller in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert len(answers) + len(refused) == 5 * CALLERS
    assert set(answers) == {20}
    assert refused
    assert all(BUSY in text for text, _ in refused)
    with Recommender(served.server.grpc, deadline=5) as recommender:
        assert len(recommender.recommend("u1", record=False).items) == 20
