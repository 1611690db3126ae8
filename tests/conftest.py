"""What several folders of tests share."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pytest

from trident_export.build import BuildConfig, build
from trident_export.build_source import synthetic_source

END = datetime(2026, 6, 1, tzinfo=timezone.utc)


@pytest.fixture(scope="session")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real release, learned from a small marketplace."""
    folder = tmp_path_factory.mktemp("release") / "tiny"
    build(synthetic_source(users=300, items=800, events=20_000, end=END), folder, BuildConfig())
    return folder
