"""The user tower as an ONNX graph, written node by node so that it does not hang on torch's exporters."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from trident.contract import EMBEDDING_DIM, USER_EMBEDDING, USER_FEATURES, USER_TOWER
from trident.errors import ReleaseError
from trident.onnx import OnnxModel
from trident_export.towers.encoding import CLIP, FeatureEncoder
from trident_export.towers.model import Tower

OPSET, IR_VERSION = 17, 8  # what ONNX Runtime 1.13 and newer reads
TOLERANCE = 1e-4
SMALLEST_NORM = 1e-12  # of torch.nn.functional.normalize


@dataclass
class _Graph:
    """Nodes and constants as they are added; values go by their names."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, value: np.ndarray | Tensor | float) -> str:
        """Add a constant, floats as float32."""
        array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
        array = array.astype(np.float32) if array.dtype == np.float64 else array
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def add(self, op: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its output."""
        name = output or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


def write_user_tower(tower: Tower, path: Path) -> None:
    """Write `tower` with the names and dims of the contract; the batch axis is free, and all weights are inside."""
    graph = _Graph()
    rows, taste = (spec.name for spec in USER_TOWER.inputs)
    hidden = graph.add("Concat", *_encoded(graph, tower.encoder, rows), taste, axis=1)
    for layer in (tower.first, tower.second):
        hidden = graph.add("Relu", _linear(graph, layer, hidden))
    summed = graph.add("Add", _linear(graph, tower.last, hidden), _linear(graph, tower.shortcut, taste))
    norm = graph.add("ReduceL2", summed, axes=[1], keepdims=1)
    norm = graph.add("Max", norm, graph.constant(SMALLEST_NORM))
    graph.add("Div", summed, norm, output=USER_EMBEDDING.name)
    onnx.save_model(_model(graph, (rows, taste)), str(path))


def check_parity(path: Path, user_rows: np.ndarray, taste: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference between the file's answer and `expected` (n, 128).

    Raises ReleaseError when it is above 1e-4 or not a number.
    """
    got = OnnxModel.of(USER_TOWER, path)(user_features=user_rows, taste=taste)[USER_EMBEDDING.name]
    difference = float(np.abs(got - expected).max())
    if not difference <= TOLERANCE:
        raise ReleaseError(f"user tower: ONNX and torch may differ by {TOLERANCE} at most, got {difference}")
    return difference


def _encoded(graph: _Graph, encoder: FeatureEncoder, rows: str) -> list[str]:
    """The parts of FeatureEncoder.forward."""
    zero = graph.constant(0.0)
    parts = []
    if len(encoder.numeric):
        values = graph.add("Gather", rows, graph.constant(encoder.numeric), axis=1)
        missing = graph.add("IsNaN", values)
        parts.append(graph.add("Where", missing, zero, _standardised(graph, encoder, values, zero)))
        if len(encoder.missing):
            holes = graph.add("Cast", missing, to=TensorProto.FLOAT)
            parts.append(graph.add("Gather", holes, graph.constant(encoder.missing), axis=1))
    for table, (column, size) in zip(encoder.tables, encoder.categories, strict=True):
        codes = graph.add("Gather", rows, graph.constant(np.array(column)), axis=1)
        parts.append(graph.add("Gather", graph.constant(table), _index(graph, codes, size, zero), axis=0))
    return parts


def _standardised(graph: _Graph, encoder: FeatureEncoder, values: str, zero: str) -> str:
    one = graph.constant(1.0)
    logged = graph.add("Log", graph.add("Add", graph.add("Max", values, zero), one))
    values = graph.add("Where", graph.constant(encoder.log), logged, values)
    centred = graph.add("Sub", values, graph.constant(encoder.mean))
    scaled = graph.add("Mul", centred, graph.constant(encoder.scale))
    return graph.add("Clip", scaled, graph.constant(-CLIP), graph.constant(CLIP))


def _index(graph: _Graph, codes: str, size: int, zero: str) -> str:
    """The node form of code_index."""
    known = graph.add(
        "And",
        graph.add("GreaterOrEqual", codes, zero),
        graph.add("Less", codes, graph.constant(float(size))),
    )
    shifted = graph.add("Add", codes, graph.constant(1.0))
    return graph.add("Cast", graph.add("Where", known, shifted, zero), to=TensorProto.INT64)


def _linear(graph: _Graph, layer: nn.Linear, value: str) -> str:
    bias = [] if layer.bias is None else [graph.constant(layer.bias)]
    return graph.add("Gemm", value, graph.constant(layer.weight), *bias, transB=1)


def _model(graph: _Graph, inputs: tuple[str, str]) -> onnx.ModelProto:
    widths = (USER_FEATURES, EMBEDDING_DIM)
    described = helper.make_graph(
        graph.nodes,
        USER_TOWER.name,
        [_value(name, width) for name, width in zip(inputs, widths, strict=True)],
        [_value(USER_EMBEDDING.name, EMBEDDING_DIM)],
        graph.constants,
    )
    model = helper.make_model(described, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    return model


def _value(name: str, width: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
