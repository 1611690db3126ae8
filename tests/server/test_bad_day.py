"""A server of its own for each thing that breaks."""

from __future__ import annotations

import os
import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trident.contract import MODELS
from trident.errors import ReleaseError, Unavailable
from trident.release import Release
from trident.repository import numbers_in_use, serving_release
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident_client import Recommender
from trident_export.control import Control
from trident_export.publish import Server, publish


@pytest.fixture(scope="module")
def repository(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bad-day") / "repository"
    publish(tiny_release, folder)
    return folder


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as redis:
        yield redis


@pytest.fixture(scope="module")
def server(repository: Path, redis: EmbeddedRedis) -> Iterator[Serving]:
    with serving(repository, redis.url) as server:
        yield server


@pytest.fixture
def recommender(server: Serving) -> Iterator[Recommender]:
    with Recommender(server.grpc, deadline=5) as recommender:
        yield recommender


def version_folders(repository: Path) -> set[str]:
    return {f"{p.parent.name}/{p.name}" for p in repository.glob("*/*") if p.is_dir()}


def test_a_second_release_takes_over_under_load_without_an_error_or_a_mixed_answer(
    server, redis, repository, tiny_release, recommender
):
    releases, failures, stop = [], [], threading.Event()

    def ask() -> None:
        with Recommender(server.grpc, deadline=5) as mine:
            while not stop.is_set():
                try:
                    releases.append(mine.recommend("u1", record=False).release)
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    number = publish(tiny_release, repository, Server(Control(server.grpc), redis.url))
    for _ in range(20):
        assert recommender.recommend("u2", record=False).release == number
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert releases[0] == 1
    assert releases[-1] == number == 2
    assert serving_release(repository) == 2


def test_a_publish_that_does_not_reach_the_server_is_taken_back(redis, repository, tiny_release, recommender):
    before = version_folders(repository)
    with pytest.raises(Unavailable, match="user_tower 3 does not load"):
        publish(tiny_release, repository, Server(Control("127.0.0.1:1"), redis.url))
    assert version_folders(repository) == before
    assert serving_release(repository) == 2
    assert recommender.recommend("u1", record=False).release == 2


@pytest.mark.parametrize(
    "file", ["index.faiss", "ranker/checkpoint.tl", "user_tower/model.onnx", "items/ids.bytes.npy"]
)
def test_a_damaged_release_is_refused_and_changes_nothing(repository, tiny_release, tmp_path, file):
    before = version_folders(repository)
    damaged = tmp_path / "release"
    shutil.copytree(tiny_release, damaged)
    content = bytearray((damaged / file).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (damaged / file).write_bytes(content)
    with pytest.raises(ReleaseError, match=f"{file}: expected sha256"):
        publish(damaged, repository)
    assert version_folders(repository) == before
    assert not list(repository.parent.glob(".repository.staging/*"))


def test_files_that_are_missing_or_unknown_are_named(tiny_release, tmp_path):
    changed = tmp_path / "release"
    shutil.copytree(tiny_release, changed)
    (changed / "index.faiss").unlink()
    (changed / "extra").touch()
    with pytest.raises(ReleaseError, match=r"missing \['index.faiss'\], unknown \['extra'\]"):
        Release.open(changed).verify()


def test_without_redis_20_items_still_come_and_say_what_is_missing(server, redis, recommender):
    assert recommender.recommend("u3", record=False).degraded == ()
    os.kill(redis.child.process.pid, signal.SIGKILL)
    redis.child.process.wait()
    for user in ("u3", "nobody"):
        answer = recommender.recommend(user)
        assert len(set(answer.item_ids)) == 20
        assert answer.degraded == ("dedup_unavailable", "user_state_unavailable")


def test_only_the_newest_two_releases_are_kept(tiny_release, tmp_path):
    for number in (1, 2, 3):
        assert publish(tiny_release, tmp_path / "repository") == number
    assert numbers_in_use(tmp_path / "repository") == {2, 3}
    for contract in MODELS:
        assert {p.name for p in (tmp_path / "repository" / contract.name).iterdir()} == {"2", "3", "config.pbtxt"}
