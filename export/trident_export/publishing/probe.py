"""Asking a server for recommendations: its own answers say whether a release really serves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from trident.contract import (
    DEFAULT_LIMIT,
    DEGRADED_REASONS,
    FUNNEL,
    FUNNEL_COUNTS,
    ITEM_ID,
    RECOMMEND,
    RECORD,
    RELEASE,
    SCORE,
    USER_ID,
)
from trident.errors import Unavailable

STRANGER = "a user nobody knows"
SECONDS = 30.0
TOWER_IS_OUT = b"popular_fallback"


def verify(url: str, number: int, users: Sequence[str] = (), model: str = RECOMMEND.name) -> None:
    """Raise Unavailable unless `model` answers `users` and a stranger out of release `number`, with all items it can.

    Nothing is remembered as shown.
    """
    names = np.array([[name.encode()] for name in (*users, STRANGER)], np.object_)
    try:
        with grpc.InferenceServerClient(url) as client:
            answer = client.infer(model, _inputs(names), client_timeout=SECONDS)
    except InferenceServerException as error:
        raise Unavailable(f"{url}: '{model}' does not answer out of release {number}: {error.message()}") from None
    for row in range(len(names)):
        if problem := _problem(answer, row, number):
            raise Unavailable(f"{url}: '{model}': {problem}")


def _inputs(names: np.ndarray) -> list[grpc.InferInput]:
    tensors = {USER_ID: names, RECORD: np.zeros(names.shape, np.bool_)}
    inputs = []
    for spec, array in tensors.items():
        given = grpc.InferInput(spec.name, list(array.shape), spec.dtype)
        given.set_data_from_numpy(array)
        inputs.append(given)
    return inputs


def _problem(answer: grpc.InferResult, row: int, number: int) -> str:
    release = int(answer.as_numpy(RELEASE.name)[row, 0])
    if release != number:
        return f"expected an answer of release {number}, got one of release {release}"
    items = [item for item in answer.as_numpy(ITEM_ID.name)[row] if item]
    left = int(answer.as_numpy(FUNNEL_COUNTS.name)[row, FUNNEL.index("not_seen_lately")])
    expected = min(DEFAULT_LIMIT, left)
    if len(items) != expected or not np.isfinite(answer.as_numpy(SCORE.name)[row, : len(items)]).all():
        return f"release {number}: expected {expected} items with finite scores, got {len(items)}"
    if TOWER_IS_OUT in answer.as_numpy(DEGRADED_REASONS.name)[row, 0]:
        return f"release {number}: expected an answer of its user tower, got '{TOWER_IS_OUT.decode()}'"
    return ""
