"""A `recommend` that answers from its inputs alone; some user ids make it misbehave."""

import json
import time
from pathlib import Path

import numpy as np
import triton_python_backend_utils as pb

NAMES = ("device", "region", "timestamp", "limit", "record")
STEPS = json.loads(Path(__file__).with_name("steps.json").read_text())
REASONS = {"cold": b"cold_start,popular_fallback"}
REFUSALS = {
    "refused": ("INVALID_ARG", "recommend: input 'user_id': expected a better one, got 'refused'"),
    "broken": ("INTERNAL", "ranker: the forest does not answer"),
    "busy": ("UNAVAILABLE", "recommend: Exceeds maximum queue size"),
}


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = {t.name(): t.as_numpy() for t in request.inputs()}
        users = [u.decode() for u in given.pop("user_id")[:, 0]]
        if users[0] in REFUSALS:
            code, text = REFUSALS[users[0]]
            return pb.InferenceResponse(error=pb.TritonError(text, getattr(pb.TritonError, code)))
        if users[0] == "boom":
            raise ValueError("a bug")
        if users[0] == "slow":
            time.sleep(0.6)
        return pb.InferenceResponse(output_tensors=self.tensors(users, given))

    def tensors(self, users, given):
        limits = given["limit"][:, 0].tolist() if "limit" in given else [20] * len(users)
        width = max(limits)
        ids = np.full((len(users), width), b"", object)
        scores = np.full((len(users), width), np.nan, np.float32)
        for row, (user, limit) in enumerate(zip(users, limits, strict=True)):
            echoed = [str(_plain(given[name][row, 0])) for name in NAMES if name in given]
            n = min(limit, 3 if user == "short" else limit)
            ids[row, :n] = ["|".join([user, str(i), *echoed]).encode() for i in range(n)]
            scores[row, :n] = 1 / np.arange(2, n + 2)
        return [
            pb.Tensor("item_id", ids),
            pb.Tensor("score", scores),
            pb.Tensor("release", np.full((len(users), 1), 7)),
            pb.Tensor("funnel", np.tile(np.arange(STEPS, 0, -1, dtype=np.int32), (len(users), 1))),
            pb.Tensor("degraded", np.array([[REASONS.get(u, b"")] for u in users], object)),
        ]


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value.item() if hasattr(value, "item") else value
