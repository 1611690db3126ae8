"""What the tests of publishing share."""

from __future__ import annotations

from pathlib import Path

import pytest

from trident_export.publishing import publish


@pytest.fixture
def unexamined(monkeypatch: pytest.MonkeyPatch) -> None:
    """Releases are not examined, which has tests of its own and takes seconds each time."""
    monkeypatch.setattr(publish, "examine", lambda *_: [])


@pytest.fixture
def repository(unexamined: None, tiny_release: Path, tmp_path: Path) -> Path:
    """A repository with releases 1 and 2, which serves 2."""
    folder = tmp_path / "place" / "repository"
    for number in (1, 2):
        assert publish.publish(tiny_release, folder) == number
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file and folder below `folder`, with its content."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b"" for p in folder.rglob("*")}
