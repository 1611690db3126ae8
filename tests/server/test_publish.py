"""Publishing into a repository that a server serves, going back, and what failures and kills leave."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from trident.contract import LEAVES
from trident.errors import ReleaseError, Unavailable
from trident.repository import serving_release
from trident.serving import stubs
from trident.serving.model_control import READY, ModelControl
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident.state.connection import connect
from trident.state.load import LOADED
from trident_client import Recommender
from trident_export.publishing import history, probe, publish
from trident_export.publishing.control import Control
from trident_export.publishing.journal import DRY_RUN, HOLD
from trident_export.publishing.publish import Options, Server
from trident_export.publishing.rollback import rollback

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "killed_publishes.py"


@pytest.fixture(scope="module")
def repository(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("publish") / "repository"
    publish.publish(tiny_release, folder)
    return folder


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as redis:
        yield redis


@pytest.fixture(scope="module")
def running(repository: Path, redis: EmbeddedRedis) -> Iterator[Serving]:
    with serving(repository, redis.url) as running:
        yield running


@pytest.fixture(scope="module")
def recommender(running: Serving) -> Iterator[Recommender]:
    with Recommender(running.grpc, deadline=5) as recommender:
        yield recommender


@pytest.fixture
def server(running: Serving, redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Releases are not examined, which has tests of its own and takes seconds each time."""
    monkeypatch.setattr(publish, "examine", lambda *_: [])
    return Server(Control(running.grpc, running.key), redis.url)


def loaded(running: Serving) -> set[int]:
    """Versions of leaves that are ready, once nothing is on its way in or out."""
    control, leaves = ModelControl(running.http, key=running.key), {leaf.name for leaf in LEAVES}
    for _ in range(100):
        states = {version: state for version, state in control.states().items() if version[0] in leaves}
        if set(states.values()) <= {READY, "UNAVAILABLE"}:
            break
        time.sleep(0.1)
    return {number for (_, number), state in states.items() if state == READY}


def state(repository: Path, redis_url: str, running: Serving) -> dict[str, object]:
    """Everything that a publish that fails must leave alone."""
    with connect(redis_url, 5.0) as client:
        rows = {key: client.get(key) for key in client.scan_iter("user_feat:*", count=1000)}
        held = client.get(LOADED)
    files = {p.relative_to(repository): p.read_bytes() for p in repository.rglob("*") if p.is_file()}
    beside = {p.name for p in repository.parent.iterdir()}
    return {"rows": rows, "held": held, "files": files, "beside": beside, "loaded": loaded(running)}


def test_there_and_back_and_on(running, server, redis, repository, recommender, other_release):
    """The other release has another vocabulary: its users are read by nobody else, and are there until it goes."""
    assert publish.publish(other_release, repository, server) == 2
    assert rollback(repository, server) == 1
    answer = recommender.recommend("u1", record=False)
    assert (answer.release, "cold_start" in answer.degraded) == (1, False)
    assert loaded(running) == {1, 2}
    assert rollback(repository, server, to=2) == 2
    assert recommender.recommend("u1", record=False).release == 2
    rollback(repository, server)
    assert publish.publish(other_release, repository, server) == 3
    assert recommender.recommend("u1", record=False).release == 3
    assert loaded(running) == {1, 3}


def test_processes_of_a_release_live_through_publishes_and_rollbacks(running, server, redis, repository, tiny_release):
    def processes(number: int) -> set[int]:
        return {pid for pid, stub in stubs.living(running.triton.child.pid).items() if stub.version == number}

    before = serving_release(repository)
    serving_now = processes(before)
    number = publish.publish(tiny_release, repository, server)
    new = processes(number)
    assert rollback(repository, server) == before
    rollback(repository, server, to=number)
    assert len(new) == len(LEAVES)
    assert serving_now <= processes(before)
    assert processes(number) == new


@pytest.mark.parametrize("which", ["tiny_release", "other_release"])
def test_a_release_that_the_server_does_not_answer_with_is_taken_back_with_its_user_rows(
    running, server, redis, repository, recommender, monkeypatch, request, which
):
    """Whether its users are read by the serving release too or not; its number is never used again."""
    before, answered = state(repository, redis.url, running), []

    def fails(*_: object, **__: object) -> None:
        answered.append(recommender.recommend("u1", record=False).release)
        raise Unavailable("expected 20 items, got 7")

    monkeypatch.setattr(probe, "verify", fails)
    with pytest.raises(Unavailable, match="expected 20 items, got 7"):
        publish.publish(request.getfixturevalue(which), repository, server)
    assert state(repository, redis.url, running) == before
    assert recommender.recommend("u1", record=False).release == serving_release(repository)
    assert history.next_number(repository) == answered[0] + 1


def test_a_dry_run_loads_everything_and_leaves_nothing(running, server, redis, repository, other_release):
    before = state(repository, redis.url, running)
    publish.publish(other_release, repository, server, Options(act=DRY_RUN))
    assert state(repository, redis.url, running) == before


def test_a_held_release_is_loaded_and_does_not_serve(running, server, repository, recommender, tiny_release):
    serves, there = serving_release(repository), loaded(running)
    held = publish.publish(tiny_release, repository, server, Options(act=HOLD))
    assert recommender.recommend("u1", record=False).release == serves
    assert loaded(running) == there | {held}
    following = publish.publish(tiny_release, repository, server)
    assert loaded(running) == {serves, following}


def test_a_repository_without_its_server_is_not_touched(server, repository, redis, tiny_release):
    before = set(repository.parent.rglob("*"))
    with pytest.raises(Unavailable, match="does not answer"):
        rollback(repository, Server(Control("127.0.0.1:1"), redis.url))
    with pytest.raises(Unavailable, match="refuses: the control key is missing"):
        publish.publish(tiny_release, repository, Server(Control(server.control.url), redis.url))
    with pytest.raises(ReleaseError, match="release 99 is not there any more"):
        rollback(repository, server, to=99)
    assert set(repository.parent.rglob("*")) == before


def test_a_publisher_that_is_killed_leaves_nothing_that_the_next_one_does_not_put_right(tiny_release, other_release):
    """A few of the points; the script knows more of them."""
    points = ["publish: load leaves", "publish: load ensemble"]
    command = [sys.executable, str(SCRIPT), str(tiny_release), str(other_release), "--points", *points]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("| nothing |") == len(points)
