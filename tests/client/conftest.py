from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from trident.contract import FUNNEL, RECOMMEND
from trident.model_config import text
from trident.serving.ports import Ports
from trident.serving.triton import TritonServer
from trident_client import AsyncHttpRecommender, AsyncRecommender, HttpRecommender, Recommender

HERE = Path(__file__).parent
VARIANTS = (Recommender, HttpRecommender, AsyncRecommender, AsyncHttpRecommender)


@dataclass(frozen=True)
class Server:
    http: str
    grpc: str

    def url(self, kind: type) -> str:
        return self.http if "Http" in kind.__name__ else self.grpc


class Blocking:
    """An asyncio recommender with the methods of a blocking one, so that one test speaks to all four."""

    def __init__(self, recommender: Any) -> None:
        self.recommender, self.loop = recommender, asyncio.new_event_loop()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *a, **k: self.loop.run_until_complete(getattr(self.recommender, name)(*a, **k))


@pytest.fixture(params=VARIANTS, ids=lambda kind: kind.__name__)
def kind(request) -> type:
    return request.param


@pytest.fixture
def connect(kind) -> Iterator[Callable[..., Any]]:
    """Opens recommenders of one variant and closes them after the test."""
    opened = []

    def opener(urls, **options):
        recommender = kind(urls, **options)
        opened.append(Blocking(recommender) if "Async" in kind.__name__ else recommender)
        return opened[-1]

    yield opener
    for recommender in opened:
        recommender.close()
        if isinstance(recommender, Blocking):
            recommender.loop.close()


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def pick() -> int:
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    return pick


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of something that accepts connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """The real tritonserver with tests/client/echo_model.py as `recommend`."""
    pytest.importorskip("pytriton", reason="nvidia-pytriton is not installed")
    models = tmp_path_factory.mktemp("models")
    _write_repository(models)
    with TritonServer(models, models=["recommend"], probe="recommend", ports=Ports(0, 0, 0)) as triton:
        yield Server(triton.http, triton.grpc)


def _write_repository(models: Path) -> None:
    (models / "recommend/1").mkdir(parents=True)
    (models / "recommend/config.pbtxt").write_text(text(replace(RECOMMEND, backend="python", instances=2)))
    shutil.copy(HERE / "echo_model.py", models / "recommend/1/model.py")
    (models / "recommend/1/steps.json").write_text(json.dumps(len(FUNNEL)))
