"""The same path in one process, as one would write it without Triton: FAISS, LightGBM's `predict`, the same rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

from benchmarks.alternatives.item_rows import RedisItemRows
from trident.contract import CANDIDATES, DEFAULT_LIMIT, RANKER, USER_ENCODER
from trident.pipeline import Pipeline
from trident.stages.featured_candidates import FeaturedCandidates
from trident.stages.stage import Tensors
from trident.state.connection import connect


def in_process(release: Path) -> Pipeline:
    """The stages over the release folder and the Redis of REDIS_URL, with LightGBM as the ranker."""
    pipeline = Pipeline.open(release)
    rank = lightgbm_ranker(release / "ranker" / "model.txt")
    return replace(pipeline, steps=pipeline.steps | {RANKER.name: rank})


def with_rows_from_redis(release: Path, redis_url: str) -> Pipeline:
    """The same, but the features of the candidates are read item by item from Redis, as from a feature store."""
    pipeline = in_process(release)
    features = RedisItemRows(connect(redis_url, timeout=5.0), pipeline.release)
    featured = FeaturedCandidates(pipeline.candidates, features)
    return replace(pipeline, steps=pipeline.steps | {CANDIDATES.name: featured})


def lightgbm_ranker(model: Path) -> Callable[..., Tensors]:
    """LightGBM on one thread: a process per core serves more than threads that wait for each other."""
    booster = lightgbm.Booster(model_file=model)

    def rank(input__0: np.ndarray) -> Tensors:
        return {"output__0": np.asarray(booster.predict(input__0, num_threads=1), np.float32)[:, None]}

    return rank


def answer(pipeline: Pipeline, asked: dict[str, Any]) -> dict[str, Any]:
    """Answer one request with everything that `recommend` answers."""
    tensors = {spec.name: np.array([[asked[spec.name]]], spec.numpy_dtype)
               for spec in USER_ENCODER.inputs if spec.name in asked}  # fmt: skip
    for name in ("user_id", "device", "region"):
        if name in tensors:
            tensors[name][0, 0] = tensors[name][0, 0].encode()
    made = pipeline(**tensors)
    width = asked.get("limit", DEFAULT_LIMIT)
    return {
        "item_id": [item.decode() for item in made["item_id"][0, :width].tolist() if item],
        "score": [score for score in made["score"][0, :width].tolist() if score == score],
        "release": int(made["release"][0, 0]),
        "funnel": made["funnel"][0].tolist(),
        "degraded": made["degraded"][0, 0].decode(),
    }
