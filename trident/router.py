"""The router in the server: sends each user to the arm of the experiment that he is in, and puts the answers together.

It knows nothing of Triton: `ask` runs a model and gives the outputs that are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from trident.canary import Canary
from trident.contract import (
    CANARY_SHARE,
    EXPERIMENT,
    MAX_USERS,
    RECOMMEND,
    RECOMMEND_CANARY,
    USER_ID,
    ModelContract,
    TensorSpec,
)
from trident.experiment import in_canary
from trident.metrics import Counter
from trident.requests import PADS, Tensors

Ask = Callable[[ModelContract, Tensors, Sequence[TensorSpec]], Tensors]
"""Runs a model with these inputs for these outputs; raises ArmFailed with the model's own error."""

ROUTED = Counter("trident_routed_total", "Users that the router sent on, by arm.", ("arm",))


class ArmFailed(Exception):
    """A model answered with an error: its text, and its code as the server knows it."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Router:
    """Answers as `recommend` would, for the users of the canary with its release; says which experiment runs.

    When both arms are needed they run at the same time, one of them `beside`. A canary that fails is made up for by
    `recommend`, whose answer or error then counts: so bad input is refused in its words.
    """

    canary: Canary | None
    ask: Ask
    beside: Executor

    def __call__(self, given: Tensors, wanted: Sequence[TensorSpec]) -> Tensors:
        """The `wanted` outputs of `recommend_ab`; where none of them is of `recommend`, nothing is recommended."""
        own = [spec for spec in wanted if spec in (EXPERIMENT, CANARY_SHARE)]
        rest = [spec for spec in wanted if spec not in own]
        answer = self._recommended(given, rest) if rest else {}
        return answer | self._said(own, len(answer[rest[0].name]) if rest else 1)

    def _said(self, wanted: Sequence[TensorSpec], users: int) -> Tensors:
        name, share = (self.canary.experiment, self.canary.share) if self.canary else ("", 0.0)
        values = {EXPERIMENT.name: name.encode(), CANARY_SHARE.name: share}
        return {spec.name: np.full((users, 1), values[spec.name], spec.numpy_dtype) for spec in wanted}

    def _recommended(self, given: Tensors, wanted: Sequence[TensorSpec]) -> Tensors:
        chosen = self._chosen(given)
        if not chosen.any():
            ROUTED.add(len(chosen), arm="recommend")
            return self.ask(RECOMMEND, given, wanted)
        if chosen.all():
            return self._from_canary(given, wanted)
        other = self.beside.submit(self._from_canary, _rows(given, chosen), wanted)
        ROUTED.add(int((~chosen).sum()), arm="recommend")
        usual = self.ask(RECOMMEND, _rows(given, ~chosen), wanted)
        return merged(chosen, other.result(), usual, wanted)

    def _chosen(self, given: Tensors) -> np.ndarray:
        """Which users (B,) the canary answers; none of a request that `recommend` will refuse for its shapes."""
        users = given.get(USER_ID.name)
        if users is None or users.ndim != 2 or users.shape[1] != 1 or len(users) > MAX_USERS:
            return np.zeros(1, np.bool_)
        if self.canary is None or any(array.ndim != 2 or len(array) != len(users) for array in given.values()):
            return np.zeros(len(users), np.bool_)
        name, share = self.canary.experiment, self.canary.share
        return np.array([in_canary(user, name, share) for user in users[:, 0]], np.bool_)

    def _from_canary(self, given: Tensors, wanted: Sequence[TensorSpec]) -> Tensors:
        users = len(given[USER_ID.name])
        try:
            answer = self.ask(RECOMMEND_CANARY, given, wanted)
        except ArmFailed:
            answer = self.ask(RECOMMEND, given, wanted)
            ROUTED.add(users, arm="instead")
            return answer
        ROUTED.add(users, arm="canary")
        return answer


def merged(chosen: np.ndarray, canary: Tensors, usual: Tensors, wanted: Sequence[TensorSpec]) -> Tensors:
    """One answer of the two: row i comes from `canary` where `chosen` (B,); the narrower one is padded."""
    return {spec.name: _merged(chosen, canary[spec.name], usual[spec.name], spec) for spec in wanted}


def _merged(chosen: np.ndarray, canary: np.ndarray, usual: np.ndarray, spec: TensorSpec) -> np.ndarray:
    shape = (len(chosen), max(canary.shape[1], usual.shape[1]))
    both: np.ndarray = np.full(shape, PADS[spec.dtype], spec.numpy_dtype)
    both[chosen, : canary.shape[1]] = canary
    both[~chosen, : usual.shape[1]] = usual
    return both


def _rows(given: Tensors, chosen: np.ndarray) -> Tensors:
    return {name: array[chosen] for name, array in given.items()}
