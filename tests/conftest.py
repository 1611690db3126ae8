"""What several folders of tests share."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from redis import Redis

from trident.serving.healing import Healer
from trident.serving.redis import EmbeddedRedis
from trident.state.connection import connect

END = datetime(2026, 6, 1, tzinfo=timezone.utc)


def build_tiny(folder: Path, seed: int) -> Path:
    """A real release, learned from a small marketplace."""
    from trident_export.build import build
    from trident_export.build_config import BuildConfig
    from trident_export.build_source import synthetic_source
    from trident_export.ranker import RankerConfig
    from trident_export.samples import SampleConfig
    from trident_export.towers import TowerConfig

    quick = BuildConfig(
        towers=TowerConfig(epochs=3),
        samples=SampleConfig(requests=300),
        ranker=RankerConfig(trees=60),
        item_snapshots=12,
    )
    build(synthetic_source(users=300, items=800, events=20_000, days=30, seed=seed, end=END), folder, quick)
    return folder


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_tiny(tmp_path_factory.mktemp("release") / "tiny", seed=7)


@pytest.fixture(scope="session")
def other_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one for users of the same names: other items, towers, vocabulary and feature schema."""
    return build_tiny(tmp_path_factory.mktemp("release") / "other", seed=8)


@pytest.fixture(scope="session")
def look_after() -> Callable[[Healer, float], AbstractContextManager[None]]:
    """`with look_after(healer, seconds)`: the healer looks again and again, as `trident serve` lets it."""

    @contextmanager
    def looking(healer: Healer, every: float) -> Iterator[None]:
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(every):
                healer.look()

        healer.look()
        thread = threading.Thread(target=watch)
        thread.start()
        yield
        stop.set()
        thread.join()
        healer.stop()

    return looking


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def client(embedded: EmbeddedRedis) -> Iterator[Redis]:
    """A client of the embedded Redis, which is empty."""
    with connect(embedded.url, 1.0) as client:
        client.flushall()
        yield client
