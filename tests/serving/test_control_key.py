"""The control APIs of a real server, asked on every route with the key, without it, and with a wrong one."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import stat
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf.message_factory import GetMessageClass
from tritonclient.grpc import service_pb2

from trident.errors import SetupError, Unavailable
from trident.serving.control_key import GRPC_HEADER, HEADER, key_file, make_key, read_key
from trident.serving.hidden import hide
from trident.serving.model_control import ModelControl
from trident.serving.serve import Serving, serving
from trident_export.publishing.control import Control

MODEL = "/v2/models/double"
CLOSED = (
    "/v2/repository/index", "/v2/repository/here/index",
    "/v2/repository/models/double/load", "/v2/repository/models/double/unload",
    "/v2/repository/here/models/double/load", "/v2/repository/here/models/double/unload",
    f"{MODEL}/config", f"{MODEL}/versions/1/config",
    "/v2/models/stats", f"{MODEL}/stats", f"{MODEL}/versions/1/stats",
    "/v2/systemsharedmemory/status", "/v2/systemsharedmemory/region/r/status",
    "/v2/systemsharedmemory/region/r/register", "/v2/systemsharedmemory/region/r/unregister",
    "/v2/systemsharedmemory/unregister",
    "/v2/cudasharedmemory/status", "/v2/cudasharedmemory/region/r/status",
    "/v2/cudasharedmemory/region/r/register", "/v2/cudasharedmemory/region/r/unregister",
    "/v2/cudasharedmemory/unregister",
    "/v2/logging", "/v2/trace/setting", f"{MODEL}/trace/setting",
    "/v2/repository/index?a=b", "http://elsewhere/v2/repository/index",
)  # fmt: skip
ODD = (
    "/V2/repository/index", "/v2/Repository/index", "/v2//repository/index", "//v2/repository/index",
    "/v2/repository/index/", "/v2/repository/%69ndex", "/v2/%72epository/index", "/v2%2frepository/index",
    "/v2/repository%2findex", "/v2/./repository/index", "/v2/x/../repository/index", "/v2/repository/index%00",
    "/v2/repository/index;a", "/v2/repository/index%0a", "/v2/LOGGING", "/v2/logging/", f"{MODEL}%2fconfig",
    f"{MODEL}//config", f"{MODEL}/versions//config", "/v2/models//config", "/v2/models/stats/",
    "/invocations", "/ping", "/models", "/models/double", "/models/double/invoke", "/predict", "/v1/models/double",
)  # fmt: skip
"""Other spellings, and the routes of SageMaker and Vertex, which Triton has when it is told to."""

VERBS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS")
WRONG = ({}, {HEADER: ""}, {HEADER: "k" * 64}, {"Authorization": "Bearer k"})

OPEN = {"ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer", "ModelStreamInfer"}
METHODS = {method.name: method for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}


@pytest.fixture(scope="module")
def server(double: Path, request_two: dict) -> Iterator[Serving]:
    with serving(double, models=["double"], probe="double", request=request_two, before_start=None) as running:
        yield running


def ask(address: str, verb: str, path: str, headers: Mapping[str, str], body: object = ()) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request(verb, path, json.dumps(body or {}), dict(headers))
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


@pytest.mark.parametrize("headers", WRONG, ids=["none", "empty", "another", "elsewhere"])
def test_over_http_every_control_route_is_closed_without_the_key(server: Serving, headers: dict) -> None:
    for path in CLOSED:
        for verb in VERBS:
            status, body = ask(server.http, verb, path, headers)
            assert (status, b"is restricted" in body) == (403, True), (verb, path, status, body)


def test_over_http_other_spellings_lead_nowhere(server: Serving) -> None:
    for path in ODD:
        for verb in VERBS:
            status, body = ask(server.http, verb, path, {})
            assert status in (403, 404, 405), (verb, path, status, body)


def test_the_metrics_port_has_metrics_alone(server: Serving) -> None:
    assert ask(server.metrics, "GET", "/metrics", {})[0] == 200
    for path in CLOSED:
        status, body = ask(server.metrics, "GET", path, {HEADER: server.key})
        assert body == b"", (path, status)
        assert ask(server.metrics, "POST", path, {HEADER: server.key})[0] == 405, path


def test_over_http_the_key_opens_them_and_inference_needs_none(server: Serving, request_two: dict) -> None:
    reads = [path for path in CLOSED if path.endswith(("config", "stats", "logging", "setting", "memory/status"))]
    assert len(reads) == 10
    for path in reads:
        assert ask(server.http, "GET", path, {HEADER: server.key})[0] == 200, path
    assert ModelControl(server.http, key=server.key).states() == {("double", 1): "READY"}
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", MODEL, f"{MODEL}/ready"):
        assert ask(server.http, "GET", path, {})[0] == 200, path
    assert ask(server.http, "POST", f"{MODEL}/infer", {}, request_two)[0] == 200


def refused(address: str, name: str, metadata: tuple[tuple[str, str], ...]) -> bool:
    """Whether a method of Triton's service refuses an empty message as restricted."""
    method = METHODS[name]
    with grpc.insecure_channel(address) as channel:
        ask = channel.stream_stream if method.client_streaming else channel.unary_unary
        ask = ask(
            f"/inference.GRPCInferenceService/{name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        message = GetMessageClass(method.input_type)()
        try:
            if method.client_streaming:
                list(ask(iter([message]), metadata=metadata, timeout=20))
            else:
                ask(message, metadata=metadata, timeout=20)
        except grpc.RpcError as error:
            return "This protocol is restricted" in error.details() and error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def test_over_grpc_every_control_method_is_closed_without_the_key_and_open_with_it(server: Serving) -> None:
    assert set(METHODS) > OPEN
    for name in METHODS:
        for metadata in ((), ((GRPC_HEADER, "k" * 64),), ((HEADER, server.key),)):
            assert refused(server.grpc, name, metadata) == (name not in OPEN), (name, metadata)
        assert not refused(server.grpc, name, ((GRPC_HEADER, server.key),)), name


def test_a_model_cannot_be_brought_along_in_a_load_request(server: Serving) -> None:
    config = {"name": "double", "backend": "python", "max_batch_size": 0}
    body = {"parameters": {"config": json.dumps(config), "file:1/model.py": "aW1wb3J0IG9z"}}
    assert ask(server.http, "POST", "/v2/repository/models/double/load", {}, body)[0] == 403
    assert ask(server.http, "POST", "/v2/repository/models/other/load", {}, body)[0] == 403
    refusal = pytest.raises(triton.InferenceServerException, match="This protocol is restricted")
    with triton.InferenceServerClient(server.grpc) as client, refusal:
        client.load_model("double", config=json.dumps(config), files={"file:1/model.py": b"import os"})


def test_an_inference_request_reaches_no_shared_memory(server: Serving, request_two: dict) -> None:
    region = {"shared_memory_region": "anything", "shared_memory_byte_size": 8}
    body = json.loads(json.dumps(request_two))
    body["inputs"][0] = {"name": "x", "shape": [1, 2], "datatype": "FP32", "parameters": region}
    status, text = ask(server.http, "POST", f"{MODEL}/infer", {}, body)
    assert (status, b"Unable to find shared memory region: 'anything'" in text) == (404, True), text
    with triton.InferenceServerClient(server.grpc) as client:
        x = triton.InferInput("x", [1, 2], "FP32")
        x.set_shared_memory("anything", 8)
        with pytest.raises(triton.InferenceServerException, match="Unable to find shared memory region"):
            client.infer("double", [x])
        y = triton.InferRequestedOutput("y")
        y.set_shared_memory("anything", 8)
        x.set_data_from_numpy(np.ones((1, 2), np.float32))
        with pytest.raises(triton.InferenceServerException, match="Unable to find shared memory region"):
            client.infer("double", [x], outputs=[y])


def test_our_own_controls_say_what_is_wrong_with_the_key(server: Serving) -> None:
    with pytest.raises(Unavailable, match=r"control key is missing or not that of the server, which lies beside"):
        ModelControl(server.http).load("double")
    with pytest.raises(Unavailable, match="control key is missing or not that of the server"):
        Control(server.grpc, "k" * 64).require("double", 1)
    Control(server.grpc, server.key).require("double", 1)
    assert server.key not in repr(Control(server.grpc, server.key)) + repr(ModelControl(server.http, key=server.key))


def test_the_first_serve_made_the_key_for_its_user_alone(server: Serving, double: Path) -> None:
    path = key_file(double)
    assert path == double.parent / f".{double.name}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(double) == read_key(path) == server.key == make_key(double)
    assert len(server.key) == 64


def test_the_key_is_soon_gone_from_every_command_line(server: Serving) -> None:
    assert not server.triton.key_visible
    arguments = Path(f"/proc/{server.triton.child.pid}/cmdline").read_bytes()
    assert arguments.count(b":trident-control-key=****") == 2
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            assert server.key.encode() not in path.read_bytes()
    assert server.key.encode() not in (server.triton.log or Path()).read_bytes()


def test_the_shared_memory_of_requests_is_for_its_user_alone(server: Serving) -> None:
    regions = list(Path("/dev/shm").glob(f"{server.triton.child.shm_prefix}*"))
    assert regions
    assert {stat.S_IMODE(region.stat().st_mode) for region in regions} == {0o600}


def test_a_process_that_is_not_ours_or_has_ended_hides_nothing() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not hide(ended.pid, "secret")
    with subprocess.Popen(["sleep", "30.0000001"]) as running:
        try:
            while b"sleep" not in Path(f"/proc/{running.pid}/cmdline").read_bytes():
                time.sleep(0.01)
            assert hide(running.pid, "0000001")
            assert b"30.*******" in Path(f"/proc/{running.pid}/cmdline").read_bytes()
        finally:
            running.kill()


def test_without_a_key_there_is_none_to_read(tmp_path: Path) -> None:
    assert read_key(tmp_path) == ""


def test_many_that_make_the_key_at_once_get_the_same_and_leave_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "repository").mkdir()
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(make_key(tmp_path / "repository"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 16
    assert set(made) == {read_key(tmp_path / "repository")}
    assert {path.name for path in tmp_path.iterdir()} == {"repository", ".repository.key"}


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda path: path.chmod(0o640), r"has mode 640, expected 600"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.write_text("short"), "is no key: expected 32 to 256"),
        (lambda path: path.write_text("k" * 64 + "\n--model-repository=/"), "is no key"),
        (lambda path: path.rename(path.with_name("k")) and path.symlink_to("k"), "is a link"),
        (lambda path: path.unlink() or os.mkfifo(path, 0o600), "is no plain file"),
        (lambda path: path.unlink() or path.mkdir(), "is no plain file"),
    ],
)
def test_a_key_that_is_not_private_or_no_key_is_refused_with_the_reason(tmp_path: Path, spoil, problem: str) -> None:
    make_key(tmp_path / "repository")
    spoil(key_file(tmp_path / "repository"))
    (tmp_path / "repository").mkdir()
    for use in (read_key, make_key):
        with pytest.raises(SetupError, match=problem):
            use(tmp_path / "repository")
