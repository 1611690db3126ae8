from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as grpcclient

from trident.errors import ReleaseError, SetupError, Unavailable
from trident.serving import stubs
from trident.serving.ports import Ports
from trident.serving.round_trip import check_round_trip
from trident.serving.serve import Serving, require_repository, serving
from trident.serving.triton import TritonServer

DRIVER = """
import json, sys
from trident.serving.round_trip import check_round_trip
from trident.serving.serve import serve_until_stopped, serving

def announce(running):
    pids = [child.pid for child in running.children]
    print(json.dumps({"http": running.http, "pids": pids, "prefix": running.triton.child.shm_prefix,
                      "redis": running.redis_url}), flush=True)

from trident.errors import TridentError
try:
    serve_until_stopped(
        serving(sys.argv[1], models=["double"], probe="double", before_start=None, request=json.loads(sys.argv[2])),
        announce,
    )
except TridentError as error:
    sys.exit(f"trident: {error}")
"""


def ask(address: str, body: object) -> list[float]:
    answer = urllib.request.urlopen(f"http://{address}/v2/models/double/infer", json.dumps(body).encode(), timeout=5)
    return json.loads(answer.read())["outputs"][0]["data"]


def in_group(pid: int) -> list[str]:
    """The processes, zombies left out, in the group that `pid` leads."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[2] for row in rows if int(row[0]) == pid and not row[1].startswith("Z")]


def eventually(condition: object, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def shared_memory(prefix: str) -> list[Path]:
    return list(Path("/dev/shm").glob(f"{prefix}*"))


@contextmanager
def driver(repository: Path, body: object) -> Iterator[tuple[subprocess.Popen, dict]]:
    """A process of its own that serves, and what it announced."""
    command = [sys.executable, "-c", DRIVER, str(repository), json.dumps(body)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()


def left_over(said: dict) -> list[object]:
    """Processes, shared memory and socket that outlived a server."""
    socket = Path(said["redis"].removeprefix("unix://"))
    running = [line for pid in said["pids"] for line in in_group(pid)]
    return [*running, *shared_memory(said["prefix"]), *([socket.parent] if socket.parent.exists() else [])]


@pytest.fixture(scope="module")
def served(double: Path, request_two: dict) -> Iterator[Serving]:
    calls: list[tuple[Path, str]] = []
    with serving(
        double, models=["double"], probe="double", request=request_two, before_start=lambda *call: calls.append(call)
    ) as running:
        assert calls == [(double.resolve(), running.redis_url)]
        yield running


def test_answers_over_http_and_grpc_and_redis_is_there_for_the_models(served: Serving, request_two: dict) -> None:
    import redis

    assert ask(served.http, request_two) == [2.0, 4.0]
    with grpcclient.InferenceServerClient(served.grpc) as client:
        x = grpcclient.InferInput("x", [3, 2], "FP32")
        x.set_data_from_numpy(np.arange(6, dtype=np.float32).reshape(3, 2))
        assert client.infer("double", [x]).as_numpy("y").tolist() == [[0, 2], [4, 6], [8, 10]]
    assert b"nv_inference" in urllib.request.urlopen(f"http://{served.metrics}/metrics", timeout=5).read()
    assert redis.Redis.from_url(served.redis_url).ping()
    environment = Path(f"/proc/{served.triton.child.pid}/environ").read_bytes().split(b"\0")
    assert f"REDIS_URL={served.redis_url}".encode() in environment


def test_listens_on_loopback_only(served: Serving) -> None:
    for port in (served.triton.ports.http, served.triton.ports.grpc, served.triton.ports.metrics):
        listed = subprocess.run(["ss", "-Htln", f"sport = :{port}"], capture_output=True, text=True).stdout
        assert [line.split()[3].replace("[::ffff:127.0.0.1]", "127.0.0.1") for line in listed.splitlines()] == [
            f"127.0.0.1:{port}"
        ]


def test_a_port_that_is_taken_is_named_with_its_holder_and_the_flag(served: Serving, double: Path) -> None:
    taken = served.triton.ports.grpc
    refused = pytest.raises(
        SetupError, match=rf"port {taken} \(grpc\) is taken by tritonserver \(pid \d+\).*--grpc-port"
    )
    with refused, serving(double, ports=Ports(0, taken, 0), models=["double"], probe="double", before_start=None):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order_and_leaves_nothing(double: Path, request_two: dict, number: int) -> None:
    with driver(double, request_two) as (process, said):
        assert ask(said["http"], request_two) == [2.0, 4.0]
        assert shared_memory(said["prefix"])
        process.send_signal(number)
        process.send_signal(number)
        assert process.wait(20) == 0
        assert left_over(said) == []


def test_a_killed_python_process_is_started_again_and_the_user_sees_it(double: Path, request_two: dict) -> None:
    with driver(double, request_two) as (process, said):
        time.sleep(0.3)  # it has looked once
        ((stub, _),) = stubs.living(said["pids"][0]).items()
        os.kill(stub, signal.SIGKILL)
        assert process.stderr is not None
        assert process.stderr.readline() == "trident: double 1: a process has died; starting it again\n"
        assert "trident: double 1: answers again after" in process.stderr.readline()
        assert ask(said["http"], request_two) == [2.0, 4.0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert left_over(said) == []


def test_a_killed_supervisor_leaves_nothing(double: Path, request_two: dict) -> None:
    with driver(double, request_two) as (process, said):
        process.kill()
        assert eventually(lambda: not left_over(said)), left_over(said)


@pytest.mark.parametrize(("child", "name"), [(0, "tritonserver"), (1, "redis-server")])
def test_when_a_process_dies_the_other_is_stopped_and_the_exit_code_is_1(
    double: Path, request_two: dict, child: int, name: str
) -> None:
    with driver(double, request_two) as (process, said):
        os.kill(said["pids"][child], signal.SIGKILL)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 1
        assert f"trident: {name} was killed by SIGKILL" in errors
        assert left_over(said) == []


def test_a_model_that_cannot_load_ends_the_start_with_its_reason(broken: Path) -> None:
    server = TritonServer(broken, models=["double"], probe="double", ports=Ports(0, 0, 0), patience=30)
    with pytest.raises(Unavailable, match="No module named 'a_module_that_is_nowhere'"), server:
        pass
    assert in_group(server.child.pid) == []
    assert shared_memory(server.child.shm_prefix) == []


def test_a_model_that_takes_too_long_ends_the_start(slow: Path) -> None:
    server = TritonServer(slow, models=["double"], probe="double", ports=Ports(0, 0, 0), patience=1)
    with pytest.raises(Unavailable, match="was not ready after 1 seconds"), server:
        pass
    assert in_group(server.child.pid) == []


def test_a_first_request_that_is_refused_is_an_error(served: Serving) -> None:
    body = {"inputs": [{"name": "z", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}
    with pytest.raises(Unavailable, match=r"double is ready but refuses the first request: .*'z'"):
        check_round_trip(served.http, "double", body)


def test_nothing_to_serve_says_how_to_get_something(tmp_path: Path, double: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ReleaseError, match=r"make demo.*trident build.*trident publish"):
            require_repository(folder, ["recommend"])
    assert require_repository(double, ["double"]) == double.resolve()


def test_a_redis_that_does_not_answer_is_refused_before_triton_starts(double: Path) -> None:
    refused = pytest.raises(SetupError, match=r"Redis at redis://127\.0\.0\.1:1 does not answer")
    url = "redis://:secret@127.0.0.1:1"
    with refused, serving(double, url, models=["double"], probe="double", before_start=None):
        pass
