"""A small catalogue and a real Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from trident.features.vocabulary import Vocabulary
from trident.items import ItemColumns, blocked_words, write_items
from trident.live.updates import ItemUpdates
from trident.safety import Safety
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.state.connection import connect

N = 300
REGIONS = tuple(f"{a}{b}" for a in "ABCDEFG" for b in "ABCDEFGHIJ")  # 70 of them: two words of bits


def release_of(folder: Path, in_stock: np.ndarray, flagged: np.ndarray, blocked: np.ndarray) -> SimpleNamespace:
    """Items with an age limit of 0, 12 or 18 in turn; `blocked` is (N, 70) bool."""
    write_items(
        folder,
        [f"item-{i}" for i in range(N)],
        [""] * N,
        ["a"],
        features=np.zeros((N, 40)),
        vectors=np.zeros((N, 128)),
        category=np.zeros(N),
        published_at=np.zeros(N),
        age_limit=np.resize([0, 12, 18], N),
        in_stock=in_stock,
        flagged=flagged,
        blocked=blocked_words([np.flatnonzero(row).tolist() for row in blocked], len(REGIONS)),
        popular=np.arange(N)[None],
    )
    return SimpleNamespace(items=ItemColumns.open(folder), vocabulary=Vocabulary(regions=REGIONS))


@pytest.fixture(scope="session")
def said() -> dict[str, np.ndarray]:
    """What the release says."""
    rng = np.random.default_rng(5)
    return {
        "in_stock": rng.random(N) < 0.8,
        "flagged": rng.random(N) < 0.1,
        "blocked": rng.random((N, len(REGIONS))) < 0.03,
    }


@pytest.fixture(scope="session")
def release(said, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    return release_of(tmp_path_factory.mktemp("items"), **said)


@pytest.fixture
def release_that_says(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Makes another release of the same items from `in_stock`, `flagged` and `blocked`."""
    return lambda **columns: release_of(tmp_path / "other", **columns)


@pytest.fixture(scope="session")
def running() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as redis:
        yield redis


@pytest.fixture
def updates(running: EmbeddedRedis) -> ItemUpdates:
    client = connect(running.url, 1.0)
    client.flushall()
    return ItemUpdates(client)


@pytest.fixture
def following(release, running: EmbeddedRedis) -> Iterator[Callable[..., Safety]]:
    """Makes filters that follow the Redis of `updates`, or of another URL; all are closed in the end."""
    made: list[Safety] = []

    def follow(url: str | None = None, most_lag: float = 1.0) -> Safety:
        made.append(Safety.live(release, Settings(redis_url=url or running.url, live_updates_lag=most_lag)))
        return made[-1]

    yield follow
    for safety in made:
        safety.close()
