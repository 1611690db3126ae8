"""The entry point of the image, with the wheel's server in the place of the container's."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from trident.contract import CANDIDATES
from trident.errors import SetupError
from trident.model_config import WITH_CARDS
from trident.pipeline import Pipeline
from trident.requests import together
from trident.serving import container
from trident.serving.ports import Ports
from trident.serving.redis import EmbeddedRedis
from trident.serving.wheel import TritonWheel
from trident.settings import Settings
from trident.state.load import load_users
from trident.users import UserRows
from trident_client import Recommender
from trident_export.publishing.publish import publish

MOMENT = 1_780_000_000
START = """
import sys
from pathlib import Path
from trident.serving.container import main
from trident.serving.ports import Ports
main(Path(sys.argv[1]), Ports(*map(int, sys.argv[2:5])))
"""


@dataclass(frozen=True)
class Image:
    """A container as far as its processes see: ports and what it says on stderr."""

    process: subprocess.Popen[str]
    ports: Ports
    said: list[str]

    def get(self, path: str, method: str = "GET") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(f"127.0.0.1:{self.ports.http}", timeout=10)
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()


@pytest.fixture(scope="module")
def volume(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is mounted at /srv/trident: a repository whose configs for cards do without one, on a small machine."""
    repository = tmp_path_factory.mktemp("volume") / "repository"
    publish(tiny_release, repository)
    configs = sorted(repository.glob("*/configs/gpu.pbtxt"))
    assert [path.parents[1].name for path in configs] == sorted(WITH_CARDS)
    for path in configs:
        path.write_text(path.read_text().replace("KIND_GPU", "KIND_CPU").replace("count: 4", "count: 1"))
    return repository


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Laid out like /opt/tritonserver."""
    root, wheel = tmp_path_factory.mktemp("opt") / "tritonserver", TritonWheel.find()
    wheel.lay_out_backends(root / "backends")
    (root / "bin").mkdir()
    (root / "bin" / "tritonserver").symlink_to(wheel.server)
    return root


@pytest.fixture(scope="module")
def image(volume: Path, root: Path) -> Iterator[Image]:
    ports, said = Ports(0, 0, 0).settle(), []
    with EmbeddedRedis() as redis:
        env = TritonWheel.find().environment() | {
            "REDIS_URL": redis.url, "TRIDENT_REPOSITORY": str(volume), "TRIDENT_CONFIG": "gpu",
        }  # fmt: skip
        command = [sys.executable, "-c", START, str(root), *map(str, vars(ports).values())]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
            listener = threading.Thread(target=lambda: said.extend(process.stderr or ()))
            listener.start()
            end = time.monotonic() + 90
            while not any("trident: ready" in line for line in said):
                assert process.poll() is None, "".join(said[-20:])
                assert time.monotonic() < end, "".join(said[-20:])
                time.sleep(0.05)
            yield Image(process, ports, said)
            process.terminate()
            listener.join()


def test_answers_are_those_of_the_release_with_the_configs_for_cards(image: Image, tiny_release: Path, volume: Path):
    users = [name.decode() for name in UserRows.open(tiny_release / "users").ids.take(range(10))]
    with Recommender(f"127.0.0.1:{image.ports.grpc}", deadline=10) as recommender:
        answers = [recommender.recommend(user, record=False, timestamp=MOMENT) for user in users]
    with EmbeddedRedis() as redis:
        load_users(volume, redis.url)
        oracle = Pipeline.of_repository(volume, 1, Settings(redis_url=redis.url))
        for user, answer in zip(users, answers, strict=True):
            made = oracle(
                user_id=np.array([[user.encode()]], object), timestamp=np.array([[MOMENT]]), record=np.array([[False]])
            )
            assert [item.encode() for item in answer.item_ids] == made["item_id"][0].tolist()
            np.testing.assert_allclose([item.score for item in answer.items], made["score"][0], atol=1e-6)
        oracle.close()


def test_requests_that_wait_are_searched_together_whatever_their_users_have_seen(image: Image):
    rng, answers = np.random.default_rng(1), queue.SimpleQueue()
    asked = [search_inputs(rng, seen=1 + number % 7) for number in range(64)]
    with grpcclient.InferenceServerClient(f"127.0.0.1:{image.ports.grpc}") as client:

        def put(result: grpcclient.InferResult, error: Exception | None) -> None:
            answers.put((result, error))

        alone = [rows(client.infer(CANDIDATES.name, inputs)) for inputs in asked]
        before = searches(image)
        for number, inputs in enumerate(asked):
            client.async_infer(CANDIDATES.name, inputs, put, request_id=str(number))
        together = dict.fromkeys(range(64))
        for _ in asked:
            result, error = answers.get(timeout=20)
            assert error is None, error
            together[int(result.get_response().id)] = rows(result)
    assert [together[number] for number in range(64)] == alone
    assert searches(image) - before < 64


def search_inputs(rng: np.random.Generator, seen: int) -> list[grpcclient.InferInput]:
    embedding = rng.normal(size=(1, 128)).astype(np.float32)
    values = {
        "user_embedding": embedding / np.linalg.norm(embedding),
        "seen_rows": rng.integers(0, 800, (1, seen)),
        "viewer_region": np.array([[-1]], np.int32),
        "viewer_age": np.array([[40]], np.int32),
        "state_flags": np.array([[0]], np.int32),
        "encoder_release": np.array([[1]]),
        "user_features": rng.random((1, 40), np.float32),
        "context_features": rng.random((1, 20), np.float32),
        "request_time": np.array([[2_000_000_000]]),
    }
    made = []
    for spec in CANDIDATES.inputs:
        array = together(spec, values).astype(spec.numpy_dtype)
        made.append(grpcclient.InferInput(spec.name, array.shape, spec.dtype))
        made[-1].set_data_from_numpy(array)
    return made


def rows(result: grpcclient.InferResult) -> tuple[list[int], bytes]:
    return result.as_numpy("candidate_rows")[0].tolist(), result.as_numpy("feature_matrix").tobytes()


def searches(image: Image) -> float:
    """How often the model has run."""
    connection = http.client.HTTPConnection(f"127.0.0.1:{image.ports.metrics}", timeout=10)
    connection.request("GET", "/metrics")
    lines = connection.getresponse().read().decode().splitlines()
    counted = f'nv_inference_exec_count{{model="{CANDIDATES.name}"'
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(counted))


def test_it_listens_on_all_addresses(image: Image):
    listening = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    for port in vars(image.ports).values():
        assert f"00000000:{port:04X}" in listening


def test_the_control_apis_ask_for_the_key_beside_the_repository(image: Image, volume: Path):
    key = volume.parent / ".repository.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    status, _ = image.get(f"/v2/repository/models/{CANDIDATES.name}/unload", "POST")
    assert status == 403
    assert image.get("/v2/models/recommend/ready")[0] == 200


def test_the_health_check_of_the_dockerfile_tells_ready_from_not(image: Image):
    from tests.deploy.dockerfile import instructions

    (check,) = [line.partition("CMD ")[2] for name, line in instructions() if name == "HEALTHCHECK"]
    ready, absent = (
        [word.replace("8000", str(image.ports.http)).replace("/recommend/", model) for word in json.loads(check)]
        for model in ("/recommend/", "/nobody/")
    )
    assert subprocess.run([sys.executable, *ready[1:]], timeout=20).returncode == 0
    assert subprocess.run([sys.executable, *absent[1:]], capture_output=True, timeout=20).returncode != 0


def test_the_log_of_the_server_goes_to_stderr_and_sigterm_ends_it_in_good_order(image: Image):
    assert any("Started HTTPService" in line for line in image.said)
    image.process.send_signal(signal.SIGTERM)
    assert image.process.wait(30) == 0


def test_elsewhere_than_in_the_image_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(SetupError, match="this runs in the image"):
        container.TritonContainer.find(tmp_path)
    monkeypatch.delenv("REDIS_URL", raising=False)
    with pytest.raises(SetupError, match="REDIS_URL: expected the address"):
        container.main(tmp_path)
    assert "REDIS_URL" not in os.environ
