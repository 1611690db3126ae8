"""A server of `recommend` without anything behind it: answers of the right form, and a count of what came."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2

from trident.contract import FUNNEL
from trident_loadtest.bench.messages import METHOD
from trident_loadtest.request_profile import ProfileRequest, write_profile

ITEMS = 20


@dataclass
class HollowServer:
    """Where it listens, and the requests that came."""

    url: str
    requests: list[bytes] = field(default_factory=list)


def hollow_answer() -> bytes:
    answer = service_pb2.ModelInferResponse(model_name="recommend")
    contents = {
        "item_id": ("BYTES", (1, ITEMS), b"".join(struct.pack("<I", 2) + b"i%d" % (i % 10) for i in range(ITEMS))),
        "score": ("FP32", (1, ITEMS), struct.pack("<20f", *[0.5] * ITEMS)),
        "release": ("INT64", (1, 1), struct.pack("<q", 7)),
        "funnel": ("INT32", (1, len(FUNNEL)), struct.pack(f"<{len(FUNNEL)}i", *[500] * len(FUNNEL))),
        "degraded": ("BYTES", (1, 1), struct.pack("<I", 10) + b"cold_start"),
    }
    for name, (dtype, shape, raw) in contents.items():
        answer.outputs.add(name=name, datatype=dtype, shape=shape)
        answer.raw_output_contents.append(raw)
    return answer.SerializeToString()


class _Handler(grpc.GenericRpcHandler):
    def __init__(self, requests: list[bytes]) -> None:
        self._requests, self._answer = requests, hollow_answer()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        return grpc.unary_unary_rpc_method_handler(self._infer) if details.method == METHOD else None

    def _infer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self._requests.append(request)
        return self._answer


@pytest.fixture
def hollow() -> Iterator[HollowServer]:
    server, requests = grpc.server(ThreadPoolExecutor(4)), list[bytes]()
    server.add_generic_rpc_handlers([_Handler(requests)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield HollowServer(f"127.0.0.1:{port}", requests)
    server.stop(0).wait()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.jsonl"
    write_profile(path, [ProfileRequest(f"u{i}", limit=1 + i % 50) for i in range(40)])
    return path
