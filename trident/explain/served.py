"""The release that a server has loaded, opened in this process beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trident.contract import RECOMMEND
from trident.errors import ReleaseError
from trident.pipeline import Pipeline
from trident.repository import serving_release
from trident.requests import Tensors
from trident.settings import Settings
from trident.state.store import UserStore


class Onlooker(UserStore):
    """The users as the server knows them; an embedding that was computed is not cached."""

    def cache_embeddings(
        self, users: Sequence[str], histories: Sequence[Sequence[bytes]], embeddings: np.ndarray
    ) -> None:
        """Leave the cache as it is."""


@contextmanager
def served_pipeline(repository: Path, settings: Settings) -> Iterator[Pipeline]:
    """The steps of the serving release out of the version folders of `repository`, over the Redis of `settings`.

    Raises ReleaseError when the repository has no release.
    """
    number = serving_release(repository)
    if number is None:
        raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
    pipeline = Pipeline.of_repository(repository, number, settings, Onlooker)
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
