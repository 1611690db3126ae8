"""What several folders of tests share."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

END = datetime(2026, 6, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    folder = tmp_path_factory.mktemp("release") / "tiny"
    build(synthetic_source(users=300, items=800, events=20_000, days=30, end=END), folder, quick)
    return folder
