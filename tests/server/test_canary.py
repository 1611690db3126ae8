"""A release beside another one: who gets it, and that nobody notices when it comes and goes."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from trident.command_group import build
from trident.contract import RECOMMEND, RECOMMEND_AB, RECOMMEND_CANARY
from trident.errors import ReleaseError, Unavailable
from trident.experiment import in_canary
from trident.repository import canary_of, serving_release
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident_client import AsyncHttpRecommender, AsyncRecommender, HttpRecommender, Recommender, arms
from trident_export.publishing import canary, history, pointer, staging
from trident_export.publishing.control import Control
from trident_export.publishing.journal import Journal
from trident_export.publishing.publish import Options, Server, publish

NOW = int(time.time())
USERS = [f"u{n}" for n in range(1, 41)]
HALF = [user for user in USERS if in_canary(user.encode(), "half", 0.5)]


@pytest.fixture(scope="module")
def redis() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture(scope="module")
def repository(tiny_release: Path, other_release: Path, redis, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Release 1 serves, release 2 is held."""
    folder = tmp_path_factory.mktemp("canary") / "repository"
    publish(tiny_release, folder)
    assert publish(other_release, folder, None, Options(act="hold", override="another one")) == 2
    return folder


@pytest.fixture(scope="module")
def running(repository: Path, redis: EmbeddedRedis) -> Iterator[Serving]:
    with serving(repository, redis.url) as server:
        yield server


@pytest.fixture
def server(running: Serving, redis: EmbeddedRedis, repository: Path) -> Iterator[Server]:
    control = Server(Control(running.grpc, running.key), redis.url)
    yield control
    if canary_of(repository):
        canary.stop(repository, control)


@pytest.fixture
def half(server: Server, repository: Path) -> Server:
    canary.start(repository, 2, 0.5, "half", server)
    return server


def ask(running: Serving, model: str, users: list[str], outputs: tuple[str, ...] = (), **more) -> dict[str, np.ndarray]:
    given = {
        "user_id": np.array([[u.encode()] for u in users], np.object_),
        "record": np.zeros((len(users), 1), bool),
        "timestamp": np.full((len(users), 1), NOW),
    }
    kinds = {"user_id": "BYTES", "record": "BOOL", "limit": "INT32", "region": "BYTES", "timestamp": "INT64"}
    with grpcclient.InferenceServerClient(running.grpc) as client:
        inputs = []
        for name, array in {**given, **more}.items():
            inputs.append(grpcclient.InferInput(name, list(array.shape), kinds[name]))
            inputs[-1].set_data_from_numpy(array)
        wanted = [grpcclient.InferRequestedOutput(name) for name in outputs] or None
        answer = client.infer(model, inputs, outputs=wanted, client_timeout=10)
        return {o.name: answer.as_numpy(o.name) for o in answer.get_response().outputs}


def assert_equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    """Users whose state Redis told in time both times, on a machine that may be busy, have the same answers."""
    there = (first["degraded"] == second["degraded"]).ravel()
    assert there.mean() > 0.7
    for name, array in first.items():
        np.testing.assert_array_equal(array[there], second[name][there])


def said(running: Serving) -> tuple[str, float]:
    with grpcclient.InferenceServerClient(running.grpc) as client:
        wanted = [grpcclient.InferRequestedOutput(name) for name in ("experiment", "canary_share")]
        answer = client.infer("recommend_ab", [], outputs=wanted, client_timeout=10)
    return answer.as_numpy("experiment")[0, 0].decode(), float(answer.as_numpy("canary_share")[0, 0])


# --- the router -----------------------------------------------------------------------------------------------------
def test_without_a_canary_the_router_answers_as_recommend_does(running, server):
    expected, got = (ask(running, model, USERS[:8]) for model in ("recommend", "recommend_ab"))
    assert_equal(expected, got)
    assert got["experiment"].tolist() == [[b""]] * 8
    assert got["canary_share"].tolist() == [[0.0]] * 8


def test_each_user_is_answered_by_his_arm_alone_and_together(running, half):
    alone = [ask(running, "recommend_ab", [user]) for user in USERS]
    assert [a["release"][0, 0] for a in alone] == [2 if user in HALF else 1 for user in USERS]
    assert 10 < len(HALF) < 30
    together = ask(running, "recommend_ab", USERS)
    assert_equal(together, {name: np.concatenate([a[name] for a in alone]) for name in together})
    assert together["experiment"][0, 0] == b"half"
    assert set(together["canary_share"].ravel()) == {0.5}
    for model, users in (("recommend_canary", HALF), ("recommend", [u for u in USERS if u not in HALF])):
        rows = [USERS.index(user) for user in users]
        direct = ask(running, model, users)
        assert_equal(direct, {name: together[name][rows] for name in direct})


def test_answers_of_different_width_are_padded(running, half):
    users = [HALF[0], next(u for u in USERS if u not in HALF)]
    limits = np.array([[3], [30]], np.int32)
    answer = ask(running, "recommend_ab", users, limit=limits)
    assert [sum(bool(i) for i in row) for row in answer["item_id"]] == [3, 30]
    assert np.isnan(answer["score"][0, 3:]).all()


def test_who_asks_for_the_share_alone_needs_no_user_and_gets_no_items(running, half):
    assert said(running) == ("half", 0.5)
    url = f"http://{running.http}/v2/models/recommend_ab/infer"
    body = {"inputs": [], "outputs": [{"name": "canary_share"}]}
    with urllib.request.urlopen(url, json.dumps(body).encode()) as response:
        assert json.load(response)["outputs"][0]["data"] == [0.5]


BAD = [
    {"limit": np.array([[99]] * 2, np.int32)},
    {"limit": np.array([[5]], np.int32)},
    {"region": np.array([[b"nowhere"]] * 2, np.object_)},
]


@pytest.mark.parametrize("bad", BAD, ids=["value", "rows", "text"])
@pytest.mark.parametrize("users", [HALF[:2], USERS[:2], ["", "u1"]], ids=["canary", "both", "no user"])
def test_bad_input_is_refused_in_the_words_of_recommend(running, half, users, bad):
    errors = []
    for model in ("recommend", "recommend_ab"):
        with pytest.raises(InferenceServerException) as caught:
            ask(running, model, users, **bad)
        errors.append((caught.value.status(), caught.value.message()))
    assert errors[0] == errors[1]
    assert errors[0][0] == "StatusCode.INVALID_ARGUMENT"


def test_a_request_without_a_user_is_refused_in_the_words_of_recommend(running, half):
    for model in ("recommend", "recommend_ab"):
        with (
            grpcclient.InferenceServerClient(running.grpc) as client,
            pytest.raises(InferenceServerException) as caught,
        ):
            client.infer(model, [], client_timeout=10)
        assert "user_id" in caught.value.message()


def test_a_canary_that_is_gone_is_made_up_for_by_recommend(running, half):
    half.control.unload([RECOMMEND_CANARY.name])
    answer = ask(running, "recommend_ab", USERS)
    assert set(answer["release"].ravel()) == {1}


def test_requests_at_once_do_not_wait_for_each_other(running, half):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda user: ask(running, "recommend_ab", [user])["release"][0, 0], USERS * 3))
    assert answers == [2 if user in HALF else 1 for user in USERS] * 3


# --- the clients ----------------------------------------------------------------------------------------------------
KINDS = [Recommender, HttpRecommender, AsyncRecommender, AsyncHttpRecommender]


@dataclass
class Asked:
    """One client of any kind, and which models it asks."""

    client: object
    models: list[str] = field(default_factory=list)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def __post_init__(self) -> None:
        for transport in self.client._replicas:
            transport.infer = self._noting(transport.infer)

    def _noting(self, infer):
        def noted(model, *rest):
            self.models.append(model)
            return infer(model, *rest)

        return noted

    def __call__(self, *users: str):
        answer = self.client.recommend_many(list(users), record=False)
        return self.loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer

    def close(self) -> None:
        closing = self.client.close()
        if asyncio.iscoroutine(closing):
            self.loop.run_until_complete(closing)
        self.loop.close()


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def asked(request, running, monkeypatch) -> Iterator:
    monkeypatch.setattr(arms, "FIRST_S", 5.0)  # this machine may be busy
    opened = []

    def opener(**options) -> Asked:
        address = running.http if "Http" in request.param.__name__ else running.grpc
        opened.append(Asked(request.param(address, deadline=5, **options)))
        return opened[-1]

    yield opener
    for one in opened:
        one.close()


def test_a_client_sends_each_user_to_his_arm_from_the_first_call_on(asked, half):
    client = asked()
    assert [client(user)[0].release for user in USERS] == [2 if user in HALF else 1 for user in USERS]
    assert client.models.count("recommend_ab") == 1  # the share, read once
    assert client.models[0] == "recommend_ab"
    assert client.models.count("recommend_canary") == len(HALF)
    assert [answer.release for answer in client(*USERS)] == [2 if user in HALF else 1 for user in USERS]
    assert client.models[-1] == "recommend_ab"  # both arms, in one call
    assert {answer.release for answer in client(*HALF)} == {2}
    assert client.models[-1] == "recommend_canary"


def test_a_client_that_does_not_read_asks_recommend_alone(asked, half):
    client = asked(canary_refresh=None)
    assert {client(user)[0].release for user in HALF[:3]} == {1}
    assert set(client.models) == {"recommend"}


def test_a_canary_that_was_stopped_is_made_up_for_in_the_same_call_and_then_forgotten(asked, half, repository):
    client = asked(canary_refresh=1000)
    assert client(HALF[0])[0].release == 2
    canary.stop(repository, half)
    client.models.clear()
    assert [client(user)[0].release for user in HALF[:3]] == [1, 1, 1]
    assert client.models == ["recommend_canary", "recommend", "recommend_ab", "recommend", "recommend"]


def test_a_server_without_a_router_has_no_canary(asked, half):
    half.control.unload([RECOMMEND_AB.name])
    try:
        client = asked()
        assert [client(user)[0].release for user in HALF[:3]] == [1, 1, 1]
        assert client.models == ["recommend_ab", "recommend", "recommend", "recommend"]
    finally:
        half.control.load([RECOMMEND_AB.name], 1)


# --- starting, promoting, stopping ----------------------------------------------------------------------------------
@dataclass
class Load:
    """Users who ask all the time, over the router, through clients, and of `recommend` itself."""

    running: Serving
    errors: list[str] = field(default_factory=list)
    releases: list[tuple[float, int]] = field(default_factory=list)  # when it was asked, and who answered
    stopped: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Load:
        self.threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(4)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def since(self, then: float) -> set[int]:
        """Who answered what was asked after `then`, for half a second."""
        time.sleep(0.5)
        return {release for began, release in self.releases if began > then}

    def _ask(self, n: int) -> None:
        kind, address = (Recommender, self.running.grpc) if n % 2 else (HttpRecommender, self.running.http)
        with kind(address, deadline=5, canary_refresh=0.2) as client:
            turn = 0
            while not self.stopped.is_set():
                user, began = USERS[(turn := turn + 1) % len(USERS)], time.monotonic()
                try:
                    if n < 2:
                        release = client.recommend(user, record=False).release
                    else:
                        release = int(ask(self.running, "recommend_ab", [user])["release"][0, 0])
                    self.releases.append((began, release))
                except Exception as error:
                    self.errors.append(str(error))


def test_start_share_and_stop_under_load_fail_no_request(running, server, repository):
    with Load(running) as load:
        for share in (0.05, 0.5, 1.0, 0.5):
            canary.start(repository, 2, share, "half", server)
            assert said(running) == ("half", pytest.approx(share))
        assert load.since(time.monotonic()) == {1, 2}
        canary.stop(repository, server)
        assert said(running) == ("", 0.0)
        assert load.since(time.monotonic()) == {1}
    assert load.errors == []
    assert not (repository / "recommend_canary").exists()


def test_a_canary_survives_a_restart_of_the_server_and_of_redis(running, half, repository):
    """The second server finds what the first one serves, and an empty Redis."""
    strangers = cold(ask(running, "recommend_ab", USERS))
    with serving(repository) as again:
        assert said(again) == ("half", 0.5)
        answer = ask(again, "recommend_ab", USERS)
        assert answer["release"][:, 0].tolist() == [2 if user in HALF else 1 for user in USERS]
        assert cold(answer) == strangers


def cold(answer: dict[str, np.ndarray]) -> list[bool]:
    return [b"cold_start" in reasons for reasons in answer["degraded"].ravel()]


def test_a_release_that_is_not_there_or_serves_is_refused(repository, server):
    with pytest.raises(ReleaseError, match=r"release 7 is not in 'repository', which serves 1 and has 2: .*--hold"):
        canary.start(repository, 7, 0.5, "half", server)
    with pytest.raises(ReleaseError, match="release 1 serves already"):
        canary.start(repository, 1, 0.5, "half", server)
    with pytest.raises(ReleaseError, match="share: expected 0 % to 100 %, got 200 %"):
        canary.start(repository, 2, 2.0, "half", server)
    with pytest.raises(ReleaseError, match="experiment: expected 1 to 64 letters"):
        canary.start(repository, 2, 0.5, "a b", server)
    with pytest.raises(ReleaseError, match="no canary runs"):
        canary.stop(repository, server)


def test_one_experiment_at_a_time(repository, half, tiny_release):
    with pytest.raises(ReleaseError, match="the experiment 'half' with release 2 runs"):
        canary.start(repository, 2, 0.5, "another", half)
    with pytest.raises(ReleaseError, match="release 2 is a canary: `trident canary promote` or `trident canary stop`"):
        publish(tiny_release, repository, half)


class Dies(Control):
    """The server stops answering when the router is to be told."""

    def load(self, models, version):
        if RECOMMEND_AB.name in models:
            raise Unavailable("gone")
        super().load(models, version)


def test_a_start_that_fails_leaves_everybody_with_recommend(repository, server, running):
    with pytest.raises(Unavailable, match="gone"):
        canary.start(repository, 2, 0.5, "half", Server(Dies(running.grpc, running.key), server.redis_url))
    assert canary_of(repository) is None
    assert said(running) == ("", 0.0)
    canary.stop(repository, canary_started(repository, server))
    assert not (repository / "recommend_canary").exists()


def canary_started(repository: Path, server: Server) -> Server:
    canary.start(repository, 2, 0.5, "half", server)
    return server


def test_an_act_that_was_killed_is_completed_by_the_next_one(repository, server, running):
    canary._say(repository, canary.Canary("half", 0.5, 2))  # a start that came no further
    assert canary.stop(repository, server).release == 2
    assert said(running) == ("", 0.0)
    canary.start(repository, 2, 0.5, "half", server)
    canary._say(repository, None)  # a stop that came no further
    canary.require_none(repository, server)  # as a publish asks
    assert said(running) == ("", 0.0)
    assert not (repository / "recommend_canary").exists()


def test_the_commands(repository, running, server):
    def trident(*words: str) -> str:
        result = CliRunner().invoke(build(), ["canary", *words, "--repository", str(repository)])
        assert result.exit_code == 0, result.output
        return result.output

    assert trident() == "no canary runs; release 1 serves everybody\n"
    assert "release 2 answers 5 % of the users, in the experiment 'canary'" in trident("start", "2", "--share", "5%")
    assert said(running) == ("canary", pytest.approx(0.05))
    shown = trident()
    assert "recommend         release 1  95 % of the users" in shown
    assert "recommend_canary  release 2  5 % of the users" in shown
    assert "experiment  canary, started 20" in shown
    assert "20 %" in trident("start", "2", "--share", "0.2")
    trident("stop")
    assert "in the experiment 'towers'" in trident("start", "2", "--share", "1%", "--experiment", "towers")
    assert "20 % of the users, in the experiment 'towers'" in trident("start", "2", "--share", "20%")
    assert json.loads(trident("--json"))["canary"]["share"] == pytest.approx(0.2)
    assert "release 2 stays in the repository" in trident("stop")
    wrong = CliRunner().invoke(build(), ["canary", "start", "2", "--share", "5"])
    assert (wrong.exit_code, "expected a share like 5% or 0.05, got '5'" in wrong.output) == (2, True)


def test_both_arms_are_on_the_metrics_page(running, half):
    for _ in range(2):
        ask(running, "recommend_ab", USERS)
    wanted = [
        *(f'trident_routed_total{{arm="{arm}"}}' for arm in ("recommend", "canary")),
        *(f'trident_answers_total{{release="{release}"}}' for release in (1, 2)),
        *(f'trident_best_score_count{{release="{release}"}}' for release in (1, 2)),
        *(
            f'nv_inference_request_success{{model="{m}",version="{v}"}}'
            for m, v in (("recommend", 1), ("recommend_canary", 2))
        ),
    ]
    page = ""
    for _ in range(50):
        with urllib.request.urlopen(f"http://{running.metrics}/metrics") as answer:
            page = answer.read().decode()
        if all(series in page for series in wanted):
            return
        time.sleep(0.1)
    assert [series for series in wanted if series not in page] == []


def test_promoting_lets_the_canary_serve_everybody_under_load(repository, half, running):
    """Release 2 serves afterwards."""
    with Load(running) as load:
        ended = canary.promote(repository, half)
        assert said(running) == ("", 0.0)
        assert load.since(time.monotonic()) == {2}
    assert load.errors == []
    assert (ended.release, serving_release(repository), canary_of(repository)) == (2, 2, None)
    assert history.read(repository)[-1]["act"] == "promote"
    assert ask(running, RECOMMEND.name, ["u1"])["release"][0, 0] == 2


def test_a_promotion_that_was_killed_after_the_flip_is_completed_by_the_next_act(repository, server, running):
    """Release 1, which served before, is a canary now, and serves afterwards."""
    canary.start(repository, 1, 0.5, "half", server)
    assert ask(running, "recommend_ab", USERS)["release"][:, 0].tolist() == [1 if u in HALF else 2 for u in USERS]
    staging.empty(repository)
    Journal.begin(repository, history.PROMOTE, 1, 2)
    pointer.point(repository, 1)
    with canary._alone(repository, server) as serving:
        canary.require_none(repository, server)
    assert (serving, serving_release(repository), canary_of(repository)) == (1, 1, None)
    assert ask(running, "recommend", ["u1"])["release"][0, 0] == 1
    assert said(running) == ("", 0.0)
    assert not (repository / "recommend_canary").exists()
    assert history.read(repository)[-1]["act"] == "promote"
