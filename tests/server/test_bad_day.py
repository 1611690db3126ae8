"""A server of its own for each thing that breaks."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
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
from trident_export.publishing.control import Control
from trident_export.publishing.lock import locked
from trident_export.publishing.publish import Server, publish


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


def test_a_second_release_takes_over_under_load_without_an_error_or_a_stranger(
    server, redis, repository, tiny_release, other_release, recommender
):
    """Its vocabulary is another one, so that user rows of the one mean nothing to the other."""
    schemas = {Release.open(folder).manifest.feature_schema for folder in (tiny_release, other_release)}
    assert len(schemas) == 2
    answers, failures, stop = [], [], threading.Event()

    def ask() -> None:
        with Recommender(server.grpc, deadline=5) as mine:
            while not stop.is_set():
                try:
                    begun = time.monotonic()
                    answers.append((begun, mine.recommend("u1", record=False)))
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    number = publish(other_release, repository, Server(Control(server.grpc, server.key), redis.url))
    published = time.monotonic()
    for _ in range(20):
        assert recommender.recommend("u2", record=False).release == number
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures
    # Redis may be late on a machine that starts seven processes; that user rows are missing must not happen.
    assert not any({"cold_start", "popular_fallback"} & set(answer.degraded) for _, answer in answers)
    assert answers[0][1].release == 1
    assert number == 2
    assert {answer.release for begun, answer in answers if begun > published} == {number}
    assert serving_release(repository) == 2


def test_a_publish_that_does_not_reach_the_server_is_taken_back(redis, repository, tiny_release, recommender):
    before = version_folders(repository)
    with pytest.raises(Unavailable, match="does not answer"):
        publish(tiny_release, repository, Server(Control("127.0.0.1:1"), redis.url))
    assert version_folders(repository) == before
    assert serving_release(repository) == 2
    assert recommender.recommend("u1", record=False).release == 2


def test_a_publish_that_fails_at_the_flip_is_undone_on_disk_in_the_server_and_for_its_users(
    server, redis, repository, tiny_release, recommender
):
    before = version_folders(repository)

    class FailsAtTheFlip(Control):
        def load(self, models, version):
            if "recommend" in models:
                raise Unavailable("the connection broke")
            super().load(models, version)

    with pytest.raises(Unavailable, match="the connection broke"):
        publish(tiny_release, repository, Server(FailsAtTheFlip(server.grpc, server.key), redis.url))
    assert version_folders(repository) == before
    answer = recommender.recommend("u1", record=False)
    assert (answer.release, answer.degraded) == (2, ())


def test_what_a_killed_publish_left_is_gone_after_the_next_one(tiny_release, other_release, tmp_path):
    repository = tmp_path / "repository"
    publish(tiny_release, repository)
    for name in ("user_tower", "ranker"):
        (repository / name / "2").mkdir()
    staging = tmp_path / ".repository.staging"
    (staging / "recommend").mkdir(parents=True)
    (staging / "recommend.pbtxt").touch()
    assert publish(other_release, repository) == 3
    assert numbers_in_use(repository) == {1, 3}
    assert not staging.exists()


def test_a_publish_beside_another_one_says_so_and_changes_nothing(tiny_release, tmp_path):
    repository = tmp_path / "repository"
    with locked(repository), pytest.raises(ReleaseError, match=r"publish, rollback or canary of 'repository' is under"):
        publish(tiny_release, repository)
    assert list(tmp_path.iterdir()) == []


def test_a_first_publish_that_fails_leaves_nothing(tiny_release, tmp_path):
    with pytest.raises(Unavailable):
        publish(tiny_release, tmp_path / "repository", Server(Control("127.0.0.1:1"), "redis://127.0.0.1:1"))
    assert list(tmp_path.iterdir()) == []


def test_a_server_of_another_repository_is_not_flipped(server, redis, tiny_release, tmp_path):
    publish(tiny_release, tmp_path / "repository")
    with pytest.raises(Unavailable, match="points to release 1, which 'recommend' does not serve there"):
        publish(tiny_release, tmp_path / "repository", Server(Control(server.grpc, server.key), redis.url))
    assert numbers_in_use(tmp_path / "repository") == {1}


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
    assert not (repository.parent / ".repository.staging").exists()


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
        assert set(answer.degraded) - {"live_updates_stale"} == {"dedup_unavailable", "user_state_unavailable"}


def test_only_the_newest_two_releases_are_kept(tiny_release, tmp_path):
    for number in (1, 2, 3):
        assert publish(tiny_release, tmp_path / "repository") == number
    assert numbers_in_use(tmp_path / "repository") == {2, 3}
    for contract in MODELS:
        there = {p.name for p in (tmp_path / "repository" / contract.name).iterdir()}
        assert there - {"configs"} == {"2", "3", "config.pbtxt"}
