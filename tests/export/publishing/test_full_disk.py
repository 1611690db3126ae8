"""A disk that is really full: a small tmpfs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trident.errors import ReleaseError
from trident.repository import serving_release
from trident_export.publishing import publish
from trident_export.publishing.rollback import rollback

from .conftest import tree


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mounts a tmpfs of so many bytes."""
    place = tmp_path / "small"
    place.mkdir()

    def mount(size: int) -> Path:
        if not shutil.which("mount"):
            pytest.skip("there is no `mount` here")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)], capture_output=True, text=True
        )
        if done.returncode:
            pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
        return place

    yield mount
    subprocess.run(["umount", "-l", str(place)], capture_output=True)


def size_of(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())


def fill(place: Path, leave: int) -> Path:
    """Take all room but `leave` bytes."""
    filler = place / "filler"
    filler.write_bytes(bytes(shutil.disk_usage(place).free - leave))
    return filler


def refusal(release: Path, repository: Path) -> str:
    try:
        publish.publish(release, repository)
    except ReleaseError as error:
        return str(error)
    return ""


def test_a_full_disk_refuses_at_every_step_and_changes_nothing(mounted, unexamined, tiny_release):
    """With less and less room, so that it is missing for the copy, the version folders, a config or the history."""
    size = size_of(tiny_release)
    place = mounted(4 * size + (4 << 20))
    repository = place / "repository"
    assert [publish.publish(tiny_release, repository) for _ in (1, 2)] == [1, 2]
    refused = 0
    for leave in (0, size // 2, size, *range(size + (8 << 10), size + (1 << 20), 96 << 10)):
        filler = fill(place, leave)
        before = tree(repository), {p.name for p in place.iterdir()}
        error = refusal(tiny_release, repository)
        if error:
            assert "is full" in error
            assert (tree(repository), {p.name for p in place.iterdir()}) == before, (leave, error)
        filler.unlink()
        if not error:
            break
        refused += 1
    assert refused > 4
    assert serving_release(repository) == 2 + 1
    filler = fill(place, 64 << 10)
    assert rollback(repository) == 2  # a rollback needs no room to speak of
