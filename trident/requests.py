"""Requests as arrays: check one against its contract, stack several, and split the answers again."""

from __future__ import annotations

from typing import Any

import numpy as np

from trident.contract import DIMS, ModelContract, TensorSpec, invalid

PADS: dict[str, Any] = {"BYTES": b"", "FP32": np.nan, "INT64": -1, "INT32": -1, "BOOL": False}
Tensors = dict[str, np.ndarray]


def check_inputs(contract: ModelContract, given: Tensors) -> Tensors:
    """What the stage takes, defaults filled in; raise InvalidInput naming the first input that is wrong."""
    checked: Tensors = {}
    users: int | None = None
    for spec in contract.inputs:
        array = given.get(spec.name)
        if array is None:
            if spec.default is None:
                raise invalid(contract.name, spec.name, f"a tensor of {spec.dtype}", "none")
            array = np.full((users or 1, 1), spec.default, spec.numpy_dtype)
        spec.check(array, contract.name, rows_of(spec, users))
        checked |= apart(spec, array)
        if users is None and spec.dims[0] == "B":
            users = len(array)
    return checked


def together(spec: TensorSpec, tensors: Tensors) -> np.ndarray:
    """The tensor `spec` as it travels, from `tensors` by name."""
    if not spec.parts:
        return tensors[spec.name]
    return np.concatenate([tensors[part.name] for part in spec.parts], axis=1, dtype=spec.numpy_dtype)


def apart(spec: TensorSpec, array: np.ndarray) -> Tensors:
    """The tensors that travel as `spec`, by name."""
    if not spec.parts:
        return {spec.name: array}
    parts: Tensors = {}
    first = 0
    for part in spec.parts:
        last = first + part.shape[1]
        parts[part.name] = np.ascontiguousarray(array[:, first:last], part.numpy_dtype)
        first = last
    return parts


def rows_of(spec: TensorSpec, users: int | None) -> int | None:
    """Length of axis 0 for `users` users: B itself, or R = B·K rows."""
    if users is None:
        return None
    return users * DIMS["K"] if spec.dims[0] == "R" else users


def stack(contract: ModelContract, requests: list[Tensors]) -> Tensors:
    """Put the users of several requests below each other; axes of varying width are padded to the widest."""
    return {spec.name: _stacked(spec, [r[spec.name] for r in requests]) for spec in contract.takes}


def _stacked(spec: TensorSpec, arrays: list[np.ndarray]) -> np.ndarray:
    widest = max(a.shape[1] for a in arrays)
    padded = [
        a if a.shape[1] == widest else np.pad(a, ((0, 0), (0, widest - a.shape[1])), constant_values=PADS[spec.dtype])
        for a in arrays
    ]
    return np.concatenate(padded)


def split(contract: ModelContract, outputs: Tensors, requests: list[Tensors]) -> list[Tensors]:
    """Give each request its own rows of the stacked outputs."""
    first = contract.takes[0].name
    ends = np.cumsum([len(r[first]) for r in requests])[:-1]
    parts = {
        spec.name: np.split(outputs[spec.name], ends * DIMS["K"] if spec.dims[0] == "R" else ends)
        for spec in contract.makes
    }
    return [{name: arrays[i] for name, arrays in parts.items()} for i in range(len(requests))]
