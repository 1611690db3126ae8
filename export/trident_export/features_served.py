"""The rows that a running server makes of requests: its models asked one by one, as the ensemble asks them."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import redis
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from trident.contract import CANDIDATES, NO_ITEM, RECOMMEND, TICKET, USER_ENCODER, ModelContract, degraded_bit
from trident.errors import Unavailable
from trident.release import Release
from trident.requests import Tensors, apart, check_inputs, together
from trident.state.connection import connect
from trident.state.history import history_key
from trident.state.keys import key
from trident.users import HISTORY

STEPS = (USER_ENCODER, CANDIDATES)
SECONDS = 10.0
TRIES = 5
NO_STATE = degraded_bit("user_state_unavailable")


class ServedSteps:
    """The steps up to the ranker's matrix of one release in the server at `url`, and the Redis that it asks.

    A user's cached embedding is dropped before he is asked for, because it may be of another time, and after, because
    the request's time is made up. Nothing is recorded as shown.
    """

    def __init__(self, url: str, redis_url: str, release: Release) -> None:
        self._client = grpc.InferenceServerClient(url)
        self._redis = connect(redis_url, timeout=5.0)
        self._release = release

    def __enter__(self) -> ServedSteps:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._client.close()
        self._redis.close()

    def ask(self, user: bytes, device: str, region: str, time: int) -> Tensors:
        """All tensors up to `feature_matrix` for one user; raises Unavailable when server or Redis do not answer."""
        given = {
            "user_id": np.array([[user]], np.object_),
            "device": np.array([[device.encode()]], np.object_),
            "region": np.array([[region.encode()]], np.object_),
            "timestamp": np.array([[time]], np.int64),
        }
        for _ in range(TRIES):
            tensors = self._trace(user, check_inputs(RECOMMEND, given))
            if not int(tensors["state_flags"][0, 0]) & NO_STATE:
                return tensors
        raise Unavailable("the server does not get the user's state from Redis: is it the Redis that it uses?")

    def liked(self, user: bytes) -> np.ndarray:
        """Rows of the items that the user liked last, as Redis holds them: (50,) int64, -1 pads."""
        try:
            ids: Any = self._redis.zrevrange(history_key(user.decode()), 0, HISTORY - 1)
        except (redis.RedisError, OSError) as error:
            raise _no_redis(error) from None
        rows = np.full(HISTORY, NO_ITEM, np.int64)
        rows[: len(ids)] = self._release.items.rows(ids)
        return rows

    def _trace(self, user: bytes, tensors: Tensors) -> Tensors:
        self._forget(user)
        try:
            for step in STEPS:
                tensors = tensors | self._infer(step, tensors)
        finally:
            self._forget(user)
        return tensors

    def _forget(self, user: bytes) -> None:
        try:
            self._redis.delete(key("user_emb", self._release.manifest.embedding_space, user.decode()))
        except (redis.RedisError, OSError) as error:
            raise _no_redis(error) from None

    def _infer(self, step: ModelContract, tensors: Tensors) -> Tensors:
        inputs = []
        for spec in step.inputs:
            array = together(spec, tensors)
            inputs.append(grpc.InferInput(spec.name, list(array.shape), spec.dtype))
            inputs[-1].set_data_from_numpy(array)
        version = str(self._release.manifest.release)
        wanted = [spec for spec in step.outputs if spec != TICKET]  # nobody would hand it back
        outputs = [grpc.InferRequestedOutput(spec.name) for spec in wanted]
        try:
            answer = self._client.infer(step.name, inputs, version, outputs, client_timeout=SECONDS)
        except InferenceServerException as error:
            raise Unavailable(f"{step.name} {version} does not answer: {error.message()}") from None
        return {name: array for spec in wanted for name, array in apart(spec, answer.as_numpy(spec.name)).items()}


def _no_redis(error: Exception) -> Unavailable:
    return Unavailable(f"Redis does not answer: {type(error).__name__}: {error}")
