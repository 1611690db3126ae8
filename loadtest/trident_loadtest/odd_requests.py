"""Requests as nobody should send them: made from a seed, so that each can be sent again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from trident.contract import DEVICES, EVENT_TYPES, FEEDBACK, RECOMMEND, TensorSpec

DTYPES = ("BYTES", "BOOL", "INT8", "UINT8", "INT32", "INT64", "FP16", "FP32", "FP64", "BF16", "", "NONSENSE")
TEXTS = (
    "",
    "u1",
    "u42",
    "mobile",
    "fridge",
    "DE",
    "de",
    "x" * 129,
    "é" * 64,
    "a\x00b",
    "\x7f",
    "💥",
    "{user}",
    "a:b c",
    "*",
)
GOOD = {
    "item_id": ("i1", "i2", "i700"),
    "event_type": EVENT_TYPES,
    "duration_seconds": (0.0, 12.5),
    "device": ("", *DEVICES),
    "region": ("", "DE", "US", "XX"),
    "timestamp": (0, 1_780_000_000),
    "limit": (1, 20, 50),
    "record": (True, False),
}
NUMBERS = (0, 1, -1, 20, 50, 51, 2**31 - 1, -(2**31), 2**63 - 1, 1_780_000_000)
JSON_ELEMENTS = 1 << 20
"""Elements that a tensor in JSON may declare: Triton 24.10 makes room for all of them before it looks at the values."""
WRAP = 1 << 62
"""Of -WRAP the size in bytes is 0 in 64 bits: Triton 24.10 lets it through, and the process that reads it ends."""
SIZES = (0, 1, 2, 3, 8, 64, 65)


@dataclass(frozen=True)
class OddTensor:
    """One input as it is sent, whether that makes sense or not."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    values: tuple[Any, ...]


@dataclass(frozen=True)
class OddRequest:
    """One request; `noise` is what is done to its bytes before they are sent."""

    tensors: tuple[OddTensor, ...]
    model: str = RECOMMEND.name
    noise: Callable[[bytes], bytes] | None = None


def odd_request(rng: np.random.Generator) -> OddRequest:
    """One request in which nothing, something or all is wrong."""
    model = FEEDBACK if rng.random() < 0.15 else RECOMMEND
    users = int(rng.choice(SIZES, p=(0.02, 0.7, 0.08, 0.05, 0.1, 0.03, 0.02)))
    wrong = rng.choice((0.0, 0.1, 0.5), p=(0.3, 0.5, 0.2))
    specs = [spec for spec in model.inputs if spec.default is None or rng.random() < 0.4]
    if rng.random() < wrong * 0.3:
        specs = specs[1:]
    tensors = tuple(_tensor(rng, spec, users, float(wrong)) for spec in specs)
    noise = _noise(rng) if rng.random() < 0.05 else None
    return OddRequest(tensors, model.name, noise)


def _tensor(rng: np.random.Generator, spec: TensorSpec, users: int, wrong: float) -> OddTensor:
    def goes_wrong() -> bool:
        return bool(rng.random() < wrong / 4)

    dtype = str(rng.choice(DTYPES)) if goes_wrong() else spec.dtype
    shape = _shape(rng) if goes_wrong() else (users, 1)
    count = int(rng.integers(0, 70)) if goes_wrong() else max(0, int(np.prod(shape, dtype=np.float64).clip(0, 200)))
    values = tuple(_value(rng, spec, goes_wrong()) for _ in range(count))
    name = str(rng.choice(("", "USER_ID", "user_id ", "x" * 1000, spec.name))) if goes_wrong() else spec.name
    return OddTensor(name, dtype, shape, values)


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    sizes = (0, 1, 1, 2, 64, 65, 1000, -1, -2, -(2**31), 2**31, WRAP)
    return tuple(int(rng.choice(sizes)) for _ in range(int(rng.integers(0, 5))))


def _value(rng: np.random.Generator, spec: TensorSpec, wrong: bool) -> Any:
    if not wrong:
        good: Any = rng.choice(GOOD[spec.name]) if spec.name in GOOD else f"u{rng.integers(2000)}"
        return good.encode() if spec.dtype == "BYTES" else good.item()
    if spec.dtype == "BYTES":
        odd = str(rng.choice(TEXTS)).encode()
        return odd if rng.random() < 0.5 else rng.bytes(int(rng.choice((1, 3, 16, 128, 5000))))
    return int(rng.integers(0, 256)) if spec.dtype == "BOOL" else int(rng.choice(NUMBERS))


def _noise(rng: np.random.Generator) -> Callable[[bytes], bytes]:
    at, flip, cut = rng.random(), int(rng.integers(1, 256)), rng.random() < 0.5

    def spoil(body: bytes) -> bytes:
        place = int(at * len(body))
        return (
            body[:place] if cut else body[:place] + bytes((body[place] ^ flip,)) + body[place + 1 :] if body else body
        )

    return spoil


def as_json(request: OddRequest) -> bytes:
    """The request as an HTTP body."""
    tensors = [
        {"name": t.name, "shape": list(t.shape), "datatype": t.dtype, "data": [_plain(v) for v in t.values]}
        for t in request.tensors
        if math.prod(t.shape) <= JSON_ELEMENTS
    ]
    return _spoiled(request, json.dumps({"inputs": tensors}).encode())


def as_binary(request: OddRequest) -> tuple[bytes, int]:
    """The request as an HTTP body with binary tensors, and the length of its header."""
    blocks = [_raw(t) for t in request.tensors]
    tensors = [
        {"name": t.name, "shape": list(t.shape), "datatype": t.dtype, "parameters": {"binary_data_size": len(block)}}
        for t, block in zip(request.tensors, blocks, strict=True)
    ]
    header = json.dumps({"inputs": tensors}).encode()
    return _spoiled(request, header + b"".join(blocks)), len(header)


def as_grpc(request: OddRequest) -> bytes:
    """The request as a protobuf message."""
    message = service_pb2.ModelInferRequest(model_name=request.model)
    for tensor in request.tensors:
        message.inputs.add(name=tensor.name, datatype=tensor.dtype, shape=tensor.shape)
        message.raw_input_contents.append(_raw(tensor))
    return _spoiled(request, message.SerializeToString())


def _spoiled(request: OddRequest, body: bytes) -> bytes:
    return request.noise(body) if request.noise else body


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _raw(tensor: OddTensor) -> bytes:
    widths = {"BOOL": 1, "INT8": 1, "UINT8": 1, "INT32": 4, "FP32": 4, "FP16": 2, "BF16": 2}
    parts = []
    for value in tensor.values:
        if isinstance(value, bytes):
            parts.append(len(value).to_bytes(4, "little") + value)
        elif isinstance(value, float):
            parts.append(np.float32(value).tobytes())
        else:
            width = widths.get(tensor.dtype, 8)
            parts.append((int(value) & (1 << 8 * width) - 1).to_bytes(width, "little"))
    return b"".join(parts)
