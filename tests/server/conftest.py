"""One tiny release, one real Redis and one real Triton for all tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from trident.pipeline import Pipeline
from trident.serving.serve import Serving, serving
from trident_client import HttpRecommender, Recommender
from trident_export.publishing.publish import publish


@dataclass(frozen=True)
class Served:
    """What runs, and the same release in this process over the same Redis."""

    server: Serving
    release: Path
    repository: Path
    oracle: Pipeline


@pytest.fixture(scope="session")
def served(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    repository = tmp_path_factory.mktemp("served") / "repository"
    publish(tiny_release, repository)
    with serving(repository) as server:
        os.environ["REDIS_URL"] = server.redis_url
        try:
            oracle = Pipeline.open(tiny_release)
        finally:
            del os.environ["REDIS_URL"]
        yield Served(server, tiny_release, repository, oracle)


@pytest.fixture(scope="session")
def grpc(served: Served) -> Iterator[Recommender]:
    with Recommender(served.server.grpc, deadline=5) as recommender:
        yield recommender


@pytest.fixture(scope="session")
def http(served: Served) -> Iterator[HttpRecommender]:
    with HttpRecommender(served.server.http, deadline=5) as recommender:
        yield recommender


@pytest.fixture(params=["grpc", "http"])
def recommender(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)
