"""Bad requests to the real server: a clear refusal, and nothing else is harmed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

CASES = {
    "empty id": ({"user_id": ("BYTES", [1, 1], [""])}, "user_id", "1 to 128 bytes", "0 bytes"),
    "id of 10,000 bytes": ({"user_id": ("BYTES", [1, 1], ["x" * 10_000])}, "user_id", "1 to 128 bytes", "10000 bytes"),
    "control character": ({"user_id": ("BYTES", [1, 1], ["a\x00b"])}, "user_id", "control", "a control character"),
    "wrong dtype": ({"user_id": ("INT64", [1, 1], [42])}, "user_id", "BYTES", "INT64"),
    "wrong shape": ({"user_id": ("BYTES", [1], ["u1"])}, "user_id", "[-1,1]", "[1]"),
    "two columns": ({"user_id": ("BYTES", [1, 2], ["u1", "u2"])}, "user_id", "[-1,1]", "[1,2]"),
    "no user_id": ({"limit": ("INT32", [1, 1], [5])}, "user_id", "a tensor of BYTES", "none"),
    "limit 0": ({"user_id": ("BYTES", [1, 1], ["u1"]), "limit": ("INT32", [1, 1], [0])}, "limit", "1 to 50", "0"),
    "limit 1000": (
        {"user_id": ("BYTES", [1, 1], ["u1"]), "limit": ("INT32", [1, 1], [1000])}, "limit", "1 to 50", "1000",
    ),
    "region of 50 characters": (
        {"user_id": ("BYTES", [1, 1], ["u1"]), "region": ("BYTES", [1, 1], ["x" * 50])},
        "region", "two-letter", "50 bytes",
    ),
    "unknown device": (
        {"user_id": ("BYTES", [1, 1], ["u1"]), "device": ("BYTES", [1, 1], ["fridge"])}, "device", "mobile", "fridge",
    ),
    "limits for another number of users": (
        {"user_id": ("BYTES", [1, 1], ["u1"]), "limit": ("INT32", [2, 1], [5, 5])}, "limit", "[1, 1]", "[2, 1]",
    ),
    "65 users": ({"user_id": ("BYTES", [65, 1], ["u"] * 65)}, "user_id", "1 to 64 users", "65 users"),
    "no user at all": ({"user_id": ("BYTES", [0, 1], [])}, "user_id", "[-1, 1]", "[0, 1]"),
}  # fmt: skip
DTYPES = {"BYTES": np.object_, "INT32": np.int32, "INT64": np.int64}


def over_http(served, tensors: dict) -> tuple[int, str]:
    inputs = [{"name": n, "datatype": t, "shape": s, "data": d} for n, (t, s, d) in tensors.items()]
    url = f"http://{served.server.http}/v2/models/recommend/infer"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, json.dumps({"inputs": inputs}).encode())
    return caught.value.code, json.loads(caught.value.read())["error"]


def over_grpc(served, tensors: dict) -> tuple[str, str]:
    inputs = []
    for name, (dtype, shape, data) in tensors.items():
        tensor = InferInput(name, shape, dtype)
        values = [v.encode() for v in data] if dtype == "BYTES" else data
        tensor.set_data_from_numpy(np.array(values, DTYPES[dtype]).reshape(shape))
        inputs.append(tensor)
    with InferenceServerClient(served.server.grpc) as client, pytest.raises(InferenceServerException) as caught:
        client.infer("recommend", inputs)
    return caught.value.status(), caught.value.message()


@pytest.mark.parametrize("case", CASES)
def test_a_bad_request_is_refused_with_tensor_expected_and_got(served, grpc, case):
    tensors, *words = CASES[case]
    code, text = over_http(served, tensors)
    status, message = over_grpc(served, tensors)
    assert code == 400
    assert status == "StatusCode.INVALID_ARGUMENT"
    for told in (text, message):
        for word in words:
            assert word in told
        assert "Traceback" not in told
        assert "/" not in told
    assert len(grpc.recommend("u1", record=False).items) == 20


def test_a_body_that_is_no_json_is_refused(served, grpc):
    url = f"http://{served.server.http}/v2/models/recommend/infer"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, b"{not json")
    assert caught.value.code in (400, 500)  # 500 from this version of the server
    assert len(grpc.recommend("u1", record=False).items) == 20
