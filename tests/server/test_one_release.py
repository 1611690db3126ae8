"""An ensemble that pins steps of two releases, on a real server: every such request is refused and counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from google.protobuf import text_format

from trident import model_config
from trident.contract import RECOMMEND, STEPS
from trident.serving.model_control import ModelControl
from trident.serving.serve import Serving, serving
from trident_client import Recommender, RecommenderError
from trident_export.publishing.publish import publish
from trident_loadtest.scrape import scraped

REFUSES = {"user_encoder": "candidates"}
"""Who refuses when a step is of release 1 and the others of 2; where nothing is said, the step itself."""


@pytest.fixture(scope="module")
def repository(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Releases 1 and 2, which differ in their numbers alone."""
    repository = tmp_path_factory.mktemp("mixed") / "repository"
    for number in (1, 2):
        assert publish(tiny_release, repository) == number
    return repository


@pytest.fixture(scope="module")
def server(repository: Path) -> Iterator[Serving]:
    with serving(repository) as running:
        yield running


@pytest.fixture
def pin(server: Serving, repository: Path) -> Iterator[Callable[[str], None]]:
    """Makes the ensemble pin one step to release 1; in the end all are of release 2 again."""

    def pinned(step: str) -> None:
        config = model_config.config(RECOMMEND, 2)
        for one in config.ensemble_scheduling.step:
            one.model_version = 1 if one.model_name == step else 2
        (repository / RECOMMEND.name / "config.pbtxt").write_text(text_format.MessageToString(config))
        ModelControl(server.http, key=server.key).load(RECOMMEND.name)

    yield pinned
    pinned("")


@pytest.mark.parametrize("step", [step.name for step in STEPS if step.backend == "python"])
def test_a_request_whose_steps_are_of_two_releases_is_refused_with_both_numbers(server, pin, step):
    with Recommender(server.grpc, deadline=5) as recommender:
        assert recommender.recommend("u1", record=False).release == 2
        pin(step)
        refuses = REFUSES.get(step, step)
        here, began = (2, 1) if step == "user_encoder" else (1, 2)
        text = f"{refuses}: this step is of release {here}, and release {began} began the request"
        with pytest.raises(RecommenderError, match=text) as refused:
            recommender.recommend("u1", record=False)
        assert "ask again" in str(refused.value)
    end = time.monotonic() + 5
    while not scraped(server.metrics, "trident_mixed_releases_total", model=refuses):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_with_one_release_again_it_answers(server):
    with Recommender(server.grpc, deadline=5) as recommender:
        assert recommender.recommend("u1", record=False).release == 2
