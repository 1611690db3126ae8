"""Calls → tensors, and tensors → answers: the same for every transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from trident.contract import (
    DEGRADED_REASONS,
    ENTRY_ID,
    FEEDBACK,
    FUNNEL,
    FUNNEL_COUNTS,
    ITEM_ID,
    RECOMMEND,
    RELEASE,
    SCORE,
    ModelContract,
    Range,
    TensorSpec,
    invalid,
)
from trident.errors import InvalidInput
from trident_client.errors import InvalidRequest, ServerError
from trident_client.events import Event
from trident_client.results import Recommendation, RecommendedItem

Tensors = list[tuple[TensorSpec, np.ndarray]]
"""Inputs of a request with their values, each (B, 1)."""

Output = Callable[[str], "np.ndarray | None"]
"""Gives an output tensor by name, None when the answer lacks it."""

Outputs = Sequence[str]
"""Names of the outputs that are wanted, empty for all."""

_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "BYTES": (str,),
    "BOOL": (bool, np.bool_),
    "INT32": (int, np.integer),
    "INT64": (int, np.integer),
    "FP32": (float, int, np.floating, np.integer),
}

Kind = TypeVar("Kind")


def encode(users: Sequence[str], options: dict[str, object]) -> Tensors:
    """Build and check the inputs for B users; an option that is None is left out, a list holds one value per user.

    Raises InvalidRequest with the text that the server would give.
    """
    return _encode(RECOMMEND, {"user_id": list(users), **options}, len(users))


def encode_events(events: Sequence[Event]) -> Tensors:
    """Build and check the inputs of `feedback` for B events; what no event has is left out.

    Raises InvalidRequest with the text that the server would give.
    """
    return _encode(FEEDBACK, {spec.name: _column(spec, events) for spec in FEEDBACK.inputs}, len(events))


def _column(spec: TensorSpec, events: Sequence[Event]) -> list[object] | None:
    """One value per event, or None for an optional one that no event has."""
    values = [getattr(event, spec.name) for event in events]
    if spec.default is None:
        return values
    default = spec.default.decode() if isinstance(spec.default, bytes) else spec.default
    return None if all(v is None for v in values) else [default if v is None else v for v in values]


def _encode(contract: ModelContract, values: Mapping[str, object], rows: int) -> Tensors:
    given = [spec for spec in contract.inputs if values.get(spec.name) is not None]
    try:
        return [(spec, _tensor(spec, values[spec.name], rows, contract.name)) for spec in given]
    except InvalidInput as error:
        raise InvalidRequest(str(error)) from None


def infer_inputs(kind: Callable[[str, list[int], str], Kind], tensors: Tensors) -> list[Kind]:
    """The inputs as objects of `kind`: the InferInput of tritonclient.grpc or of tritonclient.http."""
    inputs: list[Any] = [kind(spec.name, list(array.shape), spec.dtype) for spec, array in tensors]
    for made, (_, array) in zip(inputs, tensors, strict=True):
        made.set_data_from_numpy(array)
    return inputs


def wanted_outputs(kind: Callable[[str], Kind], names: Outputs) -> list[Kind] | None:
    """The names as objects of `kind`: the InferRequestedOutput of tritonclient.grpc or of tritonclient.http."""
    return [kind(name) for name in names] or None


def _tensor(spec: TensorSpec, value: object, rows: int, model: str) -> np.ndarray:
    """One input as (rows, 1) of the spec's dtype."""
    column = list(value) if isinstance(value, (list, tuple)) else [value] * rows
    array: np.ndarray = np.empty((len(column), 1), spec.numpy_dtype)
    for row, item in enumerate(column):
        array[row, 0] = _scalar(spec, item, model)
    spec.check(array, model, rows)
    return array


def _scalar(spec: TensorSpec, value: object, model: str) -> object:
    types = _PYTHON_TYPES[spec.dtype]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        got = f"{type(value).__name__} {value!r:.40}"
        raise invalid(model, spec.name, f"{types[0].__name__} (dtype {spec.dtype})", got)
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(spec.rule, Range):  # before a number overflows its dtype
        problem = spec.rule.problem(cast(int, value))
        if problem is not None:
            raise invalid(model, spec.name, spec.rule.expected(), problem)
    return value


def decode(output: Output, users: Sequence[str]) -> list[Recommendation]:
    """Read the answer for B users; raise ServerError when it is not what the contract promises."""
    try:
        read = {spec.name: _read(output, spec, len(users), RECOMMEND.name) for spec in RECOMMEND.outputs}
        return [_row(user, {name: array[row] for name, array in read.items()}) for row, user in enumerate(users)]
    except ValueError as error:  # lengths that differ, text that is not UTF-8
        raise ServerError(f"{RECOMMEND.name}: the answer cannot be read: {error}") from None


def decode_entries(output: Output, events: int) -> list[str]:
    """Read the answer of `feedback`: an entry id per event; raise ServerError when it is not what is promised."""
    return [entry.decode("ascii", "replace") for entry in _read(output, ENTRY_ID, events, FEEDBACK.name)[:, 0]]


def _row(user: str, row: dict[str, np.ndarray]) -> Recommendation:
    return Recommendation(
        user_id=user,
        items=_items(row[ITEM_ID.name], row[SCORE.name]),
        release=int(row[RELEASE.name][0]),
        funnel=dict(zip(FUNNEL, row[FUNNEL_COUNTS.name].tolist(), strict=True)),
        degraded=tuple(reason for reason in row[DEGRADED_REASONS.name][0].decode().split(",") if reason),
    )


def _read(output: Output, spec: TensorSpec, rows: int, model: str) -> np.ndarray:
    array = output(spec.name)
    if array is None:
        raise ServerError(f"{model}: the answer lacks output '{spec.name}'")
    try:
        spec.check(array, model, rows)
    except InvalidInput as error:
        raise ServerError(str(error).replace(" input ", " output ", 1)) from None
    return array


def _items(ids: np.ndarray, scores: np.ndarray) -> tuple[RecommendedItem, ...]:
    """Items of one row, pads ("" ids) left out."""
    pairs = zip(ids.tolist(), scores.tolist(), strict=True)
    return tuple(RecommendedItem(item.decode(), score) for item, score in pairs if item)
