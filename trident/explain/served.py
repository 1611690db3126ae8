"""The release that a server has loaded, opened in this process beside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from trident.contract import RECOMMEND
from trident.pipeline import Pipeline
from trident.requests import Tensors
from trident.settings import Settings


@contextmanager
def served_pipeline(repository: Path, redis_url: str, release: int) -> Iterator[Pipeline]:
    """The steps of `release` out of the version folders of `repository`, over the Redis at `redis_url`."""
    settings = replace(Settings.from_environment(), redis_url=redis_url)
    pipeline = Pipeline.of_repository(repository, release, settings)
    try:
        yield pipeline
    finally:
        pipeline.close()


def request(user: str, **given: str | int | None) -> Tensors:
    """The public inputs for one user; None leaves an input out."""
    tensors: Tensors = {"user_id": np.array([[user.encode()]], np.object_)}
    for name, value in given.items():
        if value is not None:
            plain = value.encode() if isinstance(value, str) else value
            tensors[name] = np.array([[plain]], RECOMMEND.input(name).numpy_dtype)
    return tensors
