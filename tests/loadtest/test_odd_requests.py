from __future__ import annotations

import json

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from trident.contract import RECOMMEND
from trident.errors import InvalidInput
from trident.requests import check_inputs
from trident_loadtest.fuzz import LEAK, Outcome
from trident_loadtest.odd_requests import OddRequest, OddTensor, as_binary, as_grpc, as_json, odd_request

ONE = OddRequest((OddTensor("user_id", "BYTES", (1, 1), (b"u1",)), OddTensor("limit", "INT32", (1, 1), (5,))))


def test_a_request_is_written_as_each_protocol_wants_it():
    assert json.loads(as_json(ONE))["inputs"][1] == {
        "name": "limit", "shape": [1, 1], "datatype": "INT32", "data": [5],
    }  # fmt: skip
    body, length = as_binary(ONE)
    assert body[length:] == b"\x02\0\0\0u1" + b"\x05\0\0\0"
    message = service_pb2.ModelInferRequest.FromString(as_grpc(ONE))
    assert [tensor.name for tensor in message.inputs] == ["user_id", "limit"]
    assert list(message.raw_input_contents) == [b"\x02\0\0\0u1", b"\x05\0\0\0"]


def test_the_same_seed_makes_the_same_request():
    for seed in range(300):
        first, again = (odd_request(np.random.default_rng(seed)) for _ in range(2))
        assert first.tensors == again.tensors
        assert as_grpc(first) == as_grpc(again)


def test_some_requests_are_good_and_most_kinds_of_wrong_occur():
    verdicts = {"good": 0, "refused": 0}
    for seed in range(2_000):
        request = odd_request(np.random.default_rng(seed))
        arrays = {}
        try:
            for t in request.tensors:
                dtype = RECOMMEND.input(t.name).numpy_dtype
                arrays[t.name] = np.array(t.values, dtype).reshape(t.shape)
            check_inputs(RECOMMEND, arrays)
            verdicts["good"] += 1
        except (InvalidInput, StopIteration, ValueError, OverflowError, TypeError):
            verdicts["refused"] += 1
    assert min(verdicts.values()) > 400


@pytest.mark.parametrize(
    "text", ["Traceback (most recent call last)", 'File "x", line 3', "at /tmp/a/b", "model.py: no"]
)
def test_a_text_that_shows_too_much_is_noticed(text):
    outcome = Outcome()
    outcome.add("HTTP 500", text, 7)
    assert LEAK.search(text)
    assert len(outcome.leaks) == 1


def test_a_plain_refusal_is_fine():
    outcome = Outcome()
    outcome.add("HTTP 400", "user_encoder: input 'limit': expected 1 to 50, got 51", 7)
    assert outcome.leaks == []
