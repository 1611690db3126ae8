"""Requests as bytes on the wire, made before they are due, and what an answer says."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from trident.contract import DEGRADED, DEGRADED_REASONS, ITEM_ID, RECOMMEND, RELEASE
from trident_client.codec import encode
from trident_loadtest.request_profile import ProfileRequest

METHOD = "/inference.GRPCInferenceService/ModelInfer"
_ID = 3 << 3 | 2  # tag of the field `id` of a ModelInferRequest


def message(request: ProfileRequest, now: float) -> bytes:
    """The ModelInferRequest without its id."""
    made = service_pb2.ModelInferRequest(model_name=RECOMMEND.name)
    for spec, array in encode([request.user_id], request.options(now)):
        made.inputs.add(name=spec.name, datatype=spec.dtype, shape=array.shape)
        made.raw_input_contents.append(_raw(array))
    return made.SerializeToString()


def named(body: bytes, request_id: str) -> bytes:
    """A message of `message` with an id of at most 127 bytes: fields of a protobuf may stand in any order."""
    raw = request_id.encode()
    return body + bytes((_ID, len(raw))) + raw


def _raw(array: np.ndarray) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in array.ravel())


@dataclass(frozen=True)
class Said:
    """What an answer says: how many items, which release, and the bits of DEGRADED."""

    items: int
    release: int
    flags: int


def read(answer: bytes) -> Said:
    """Read a ModelInferResponse for one user; raise ValueError when it is none."""
    try:
        response = service_pb2.ModelInferResponse.FromString(answer)
        raw = {out.name: content for out, content in zip(response.outputs, response.raw_output_contents, strict=True)}
        reasons = raw[DEGRADED_REASONS.name][4:].decode()
        flags = sum(1 << DEGRADED.index(reason) for reason in reasons.split(",") if reason)
        (release,) = struct.unpack("<q", raw[RELEASE.name])
        return Said(_items(raw[ITEM_ID.name]), release, flags)
    except (DecodeError, LookupError, ValueError, struct.error) as error:
        raise ValueError(f"the answer cannot be read: {error}") from None


def _items(raw: bytes) -> int:
    """How many of the ids are not empty; pads come last."""
    count = place = 0
    while place < len(raw):
        (size,) = struct.unpack_from("<I", raw, place)
        count += size > 0
        place += 4 + size
    return count
