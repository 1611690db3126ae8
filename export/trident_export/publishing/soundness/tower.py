"""The user tower: an ONNX file that stands alone, has the tensors of the contract and gives unit vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, numpy_helper

from trident.contract import EMBEDDING_DIM, USER_TOWER, TensorSpec
from trident.errors import ReleaseError
from trident.onnx import OnnxModel
from trident.users import read_default

NAME = "user_tower/model.onnx"
DOMAINS = ("", "ai.onnx")
FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
UNIT = 1e-3
"""How far the length of an embedding may be from 1."""


def require_tower(folder: Path) -> None:
    """Raise ReleaseError unless the tower of a release folder is what the contract asks for.

    The file is parsed before anything loads it, because a loader would follow its references to other files.
    """
    model = _parsed(folder / NAME)
    _require_alone(model)
    _require_tensors("input", model.graph.input, USER_TOWER.inputs)
    _require_tensors("output", model.graph.output, USER_TOWER.outputs)
    _require_operators(model)
    _require_finite(model)
    _require_unit(folder)


def _parsed(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load_model(str(path), load_external_data=False)
    except (OSError, DecodeError, ValueError) as error:
        raise ReleaseError(f"{NAME} cannot be read: {str(error)[:200]}") from None


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All constants, also those of nested graphs and functions."""
    graphs = [model.graph]
    nodes = [node for function in model.functions for node in function.node]
    while graphs or nodes:
        if graphs:
            graph = graphs.pop()
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield from (sparse.values, sparse.indices)
            nodes += graph.node
            continue
        for attribute in nodes.pop().attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            graphs += [g for g in (attribute.g, *attribute.graphs) if g.node or g.initializer]


def _require_alone(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            place = {entry.key: entry.value for entry in tensor.external_data}.get("location", "?")
            raise ReleaseError(f"{NAME}: expected all weights inside, got '{tensor.name}' in another file: {place!r}")


def _require_tensors(kind: str, given: list[onnx.ValueInfoProto], expected: tuple[TensorSpec, ...]) -> None:
    found = {value.name: _dims(value) for value in given}
    wanted = {spec.name: ("FLOAT", ("batch", spec.shape[1])) for spec in expected}
    if found != wanted:
        raise ReleaseError(f"{NAME}: {kind}s: expected {_text(wanted)}, got {_text(found)}")


def _dims(value: onnx.ValueInfoProto) -> tuple[str, tuple]:
    tensor = value.type.tensor_type
    dims = tuple(d.dim_value if d.HasField("dim_value") else "batch" for d in tensor.shape.dim)
    return TensorProto.DataType.Name(tensor.elem_type), dims


def _text(tensors: dict[str, tuple[str, tuple]]) -> str:
    return ", ".join(f"{name} {kind} {list(dims)}" for name, (kind, dims) in tensors.items()) or "none"


def _require_operators(model: onnx.ModelProto) -> None:
    """Only standard operators of a version that is known."""
    domains = {node.domain for node in model.graph.node} | {opset.domain for opset in model.opset_import}
    if model.functions or not domains <= set(DOMAINS):
        others = sorted(domains - set(DOMAINS)) or sorted(function.name for function in model.functions)
        raise ReleaseError(f"{NAME}: expected operators of ONNX alone, got some of {others}")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ReleaseError(f"{NAME}: no valid ONNX model: {str(error).splitlines()[0][:200]}") from None


def _require_finite(model: onnx.ModelProto) -> None:
    for tensor in _tensors(model):
        if tensor.data_type in FLOATS:
            try:
                values = numpy_helper.to_array(tensor)
            except ValueError as error:
                raise ReleaseError(f"{NAME}: weight '{tensor.name}' cannot be read: {str(error)[:200]}") from None
            if not np.isfinite(values).all():
                raise ReleaseError(f"{NAME}: weight '{tensor.name}' holds NaN or infinite numbers")


def _require_unit(folder: Path) -> None:
    """Ask for an unknown user, alone and beside one with a taste: vectors of length 1."""
    tower = OnnxModel.of(USER_TOWER, folder / NAME)
    rows = np.tile(read_default(folder / "users" / "default.npy"), (3, 1))
    taste = np.zeros((3, EMBEDDING_DIM), np.float32)
    taste[1:] = EMBEDDING_DIM**-0.5
    for count in (1, 3):
        try:
            got = tower(user_features=rows[:count], taste=taste[:count])[USER_TOWER.outputs[0].name]
        except Exception as error:  # ONNX Runtime has no common base of its errors
            raise ReleaseError(f"{NAME}: does not run: {type(error).__name__}: {str(error)[:200]}") from None
        length = np.linalg.norm(got, axis=1) if got.shape == (count, EMBEDDING_DIM) else np.array([np.nan])
        if not (np.abs(length - 1) <= UNIT).all():
            raise ReleaseError(f"{NAME}: expected {count} vectors of length 1, got {got.shape} of {length.tolist()}")
