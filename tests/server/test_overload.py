"""A server that may work on three requests at once, and many callers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trident.admission import BUSY
from trident.contract import STEPS, USER_ENCODER
from trident.serving import stubs
from trident.serving.serve import Serving, serving
from trident_client import HttpRecommender, Recommender, RecommenderError
from trident_export.publishing.publish import publish

CALLERS, TURNS = 24, 8


@pytest.fixture(scope="module")
def server(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    repository = tmp_path_factory.mktemp("busy") / "repository"
    publish(tiny_release, repository)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MOST_UNDER_WAY", "3")
        with serving(repository) as running:
            yield running


def test_more_callers_than_may_be_under_way_are_refused_at_once_and_the_others_answered(server):
    answers: list[int] = []
    refused: list[str] = []
    begin = threading.Barrier(CALLERS)

    def ask(caller: int) -> None:
        with Recommender(server.grpc, deadline=20) as recommender:
            begin.wait()
            for turn in range(TURNS):
                try:
                    answers.append(len(recommender.recommend(f"u{caller}-{turn}", record=False).items))
                except RecommenderError as error:
                    refused.append(str(error))

    callers = [threading.Thread(target=ask, args=(caller,)) for caller in range(CALLERS)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert len(answers) + len(refused) == TURNS * CALLERS
    assert answers
    assert set(answers) == {20}
    assert refused
    assert all(BUSY in text for text in refused)


def test_afterwards_every_ticket_has_been_handed_back(server):
    with Recommender(server.grpc, deadline=5) as grpc, HttpRecommender(server.http, deadline=5) as http:
        for recommender in (grpc, http):
            for _ in range(10):
                assert len(recommender.recommend("u1", record=False).items) == 20
                time.sleep(0.02)


def test_a_request_that_is_refused_for_what_it_says_hands_its_ticket_back(server):
    with Recommender(server.grpc, deadline=5) as recommender:
        for _ in range(10):
            with pytest.raises(RecommenderError, match="limit"):
                recommender.recommend("u1", limit=99, record=False)
        assert len(recommender.recommend("u1", record=False).items) == 20


def test_the_first_step_goes_before_those_after_it_when_cores_are_scarce(server):
    nice = {
        stub.model: os.getpriority(os.PRIO_PROCESS, pid) for pid, stub in stubs.living(server.triton.child.pid).items()
    }
    assert {nice[step.name] for step in STEPS[1:]} == {nice[USER_ENCODER.name] + 5}
