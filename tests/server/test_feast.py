"""A real Feast with a real Redis as its online store, and a real Triton that gets its user rows from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from trident.errors import SetupError, Unavailable
from trident.pipeline import Pipeline
from trident.release import Release
from trident.repository import numbers_in_use
from trident.running import serving_repository
from trident.serving.ports import Ports
from trident.serving.process import Child
from trident.serving.redis import EmbeddedRedis, executable
from trident.serving.serve import Serving, serving
from trident.state.connection import connect
from trident.state.feast import FeastClient, require_feast
from trident.state.load import LOADED, push_users
from trident.users import UserRows
from trident_client import Recommender
from trident_export.feast_rows import export_user_rows
from trident_export.publishing.control import Control
from trident_export.publishing.publish import Server, publish

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("FEAST_BIN") or ROOT / ".venv-feast" / "bin")
PATIENCE = 60.0

pytestmark = pytest.mark.skipif(
    not (BIN / "feast").is_file(), reason=f"no Feast in {BIN}: `make feast`, or FEAST_BIN names the bin folder it is in"
)


@dataclass(frozen=True)
class Feast:
    """A feature server with the rows of one release."""

    port: int
    release: Release
    child: Child


@contextmanager
def online_store(folder: Path) -> Iterator[str]:
    """A redis-server on TCP, as Feast wants it; yields host:port."""
    port = Ports(0, 0, 0).settle().http
    command = [executable(), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    with Child("redis-server", command, log=folder / "redis.log", folder=folder):
        for _ in range(100):
            with suppress(Exception):
                connect(f"redis://127.0.0.1:{port}", 1.0).ping()
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"


@pytest.fixture(scope="module")
def feast(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Feast]:
    """`feast apply`, `feast materialize` and `feast serve` on the committed repository and the exported Parquet."""
    folder = tmp_path_factory.mktemp("feast")
    repository, release = folder / "repository", Release.open(tiny_release)
    shutil.copytree(ROOT / "deploy" / "feast", repository, ignore=shutil.ignore_patterns("data"))
    export_user_rows(release, repository / "data")
    (folder / "redis").mkdir()
    with online_store(folder / "redis") as address:
        env = os.environ | {"FEAST_REDIS": address, "HOME": str(folder)}
        command = [BIN / "feast", "-c", repository]
        for step in (["apply"], ["materialize", "1970-01-01T00:00:00", "2100-01-01T00:00:00"]):
            done = subprocess.run([*command, *step], env=env, capture_output=True, text=True, timeout=PATIENCE)
            assert done.returncode == 0, done.stdout + done.stderr
        port = Ports(0, 0, 0).settle().http
        serve = [*command, "serve", "-p", str(port), "--no-access-log", "--max-requests", "0"]
        with Child("feast", serve, log=folder / "feast.log", folder=folder, env=env) as child:
            wait_for(port, child)
            yield Feast(port, release, child)


def wait_for(port: int, child: Child) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return require_feast("127.0.0.1", port)
        except SetupError:
            assert not child.death
            assert time.monotonic() < end
            time.sleep(0.2)


@pytest.fixture(scope="module")
def server(feast: Feast, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Triton over an empty Redis, with Feast as the source of user rows and time enough for a busy machine."""
    repository = tmp_path_factory.mktemp("served") / "repository"
    publish(feast.release.folder, repository)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FEAST_TIMEOUT_MS", "2000")
        patch.setenv("REDIS_TIMEOUT_MS", "500")
        with serving(repository, feature_source=f"feast://127.0.0.1:{feast.port}") as server:
            yield server


@pytest.fixture(scope="module")
def oracle(feast: Feast) -> Iterator[Pipeline]:
    """The same release over a Redis of its own that holds the user rows."""
    with EmbeddedRedis() as redis, pytest.MonkeyPatch.context() as patch:
        push_users(UserRows.open(feast.release.folder / "users"), feast.release, redis.url)
        patch.setenv("REDIS_URL", redis.url)
        patch.setenv("REDIS_TIMEOUT_MS", "500")
        yield Pipeline.open(feast.release.folder)


@pytest.fixture
def client(feast: Feast) -> FeastClient:
    return FeastClient("127.0.0.1", feast.port, 5.0, feast.release.manifest.feature_schema)


@pytest.fixture
def recommender(server: Serving) -> Iterator[Recommender]:
    with Recommender(server.grpc, deadline=10) as recommender:
        yield recommender


def test_the_rows_that_feast_tells_are_the_release_s_bit_for_bit(feast, client):
    release, users = feast.release, UserRows.open(feast.release.folder / "users")
    regions = [*release.vocabulary.regions, ""]
    for start in range(0, len(users), 50):
        rows = range(start, min(start + 50, len(users)))
        for row, user in zip(rows, client.read([users.ids[r].decode() for r in rows]), strict=True):
            assert user.row.features.tobytes() == users.features[row].tobytes()
            assert (user.row.as_of, user.row.region, user.row.age) == (
                release.manifest.as_of, regions[users.region[row]], users.age[row],
            )  # fmt: skip
            known = users.history[row] >= 0
            items = release.items.ids.take(users.history[row][known])
            assert list(user.taste.items()) == list(zip(items, users.history_at[row][known].tolist(), strict=True))
            consumed, times = users.consumed.of(row)
            assert user.consumed == dict(zip(release.items.ids.take(consumed), times.tolist(), strict=True))
    assert np.isnan(users.features).any()  # so missing values were among them


def test_a_user_that_feast_does_not_know_has_no_row(client):
    assert client.read(["nobody", "u1"])[0] is None


def test_a_schema_that_feast_does_not_hold_is_refused(feast):
    other = FeastClient("127.0.0.1", feast.port, 5.0, "0123456789abcdef")
    with pytest.raises(Unavailable, match=r"HTTP 404: .*user_rows_0123456789abcdef does not exist"):
        other.read(["u1"])


def test_serving_puts_no_user_row_into_redis_and_leaves_a_note_of_the_source(feast, server, recommender):
    assert recommender.recommend("nobody at all", record=False).degraded == ("cold_start",)
    client = connect(server.redis_url, 1.0)
    assert not client.exists(LOADED)
    assert not client.exists(f"user_feat:{feast.release.manifest.feature_schema}:u250")
    assert serving_repository(server.triton.repository).feature_source == f"feast://127.0.0.1:{feast.port}"


def test_a_miss_from_feast_answers_the_same_items_as_one_from_redis(feast, server, oracle, recommender):
    users = UserRows.open(feast.release.folder / "users")
    now = int(time.time())
    names = [users.ids[row].decode() for row in range(0, len(users), 6)]
    assert len(names) == 50
    redis, schema = connect(server.redis_url, 1.0), feast.release.manifest.feature_schema
    for name in names:
        assert not redis.exists(f"user_feat:{schema}:{name}"), "a miss"
        answer = recommender.recommend(name, timestamp=now, record=False)
        expected = oracle(
            user_id=np.array([[name.encode()]], np.object_), timestamp=np.array([[now]]), record=np.array([[False]])
        )
        assert list(answer.item_ids) == [item.decode() for item in expected["item_id"][0]]
        assert [item.score for item in answer.items] == expected["score"][0].tolist()
        assert answer.degraded == ()
        assert redis.exists(f"user_feat:{schema}:{name}")
        again = recommender.recommend(name, timestamp=now, record=False)
        assert (again.item_ids, again.degraded) == (answer.item_ids, ())


def test_a_release_whose_rows_feast_lacks_is_not_published(feast, server, tmp_path):
    changed = tmp_path / "release"
    shutil.copytree(feast.release.folder, changed)
    replace(feast.release.manifest, feature_schema="0123456789abcdef").write(changed / "manifest.json")
    repository = server.triton.repository
    with pytest.raises(Unavailable, match=r"user_rows_0123456789abcdef.*`feast materialize` come first"):
        publish(
            changed,
            repository,
            Server(Control(server.grpc, server.key), server.redis_url, f"feast://127.0.0.1:{feast.port}"),
        )
    assert numbers_in_use(repository) == {1}


def test_without_feast_known_users_are_served_as_before_and_others_say_so(feast, server, recommender):
    before = recommender.recommend("u1", record=False)
    feast.child.stop()
    assert recommender.recommend("u1", record=False).item_ids == before.item_ids
    for _ in range(5):
        answer = recommender.recommend("u299", record=False)
        assert len(set(answer.item_ids)) == 20
        assert answer.degraded == ("user_state_unavailable",)
    assert server.triton.log.read_text().count("ConnectionRefusedError") == 1  # the log says why, once
