"""Damaged releases are refused for the reason that fits; `benchmarks/damaged_releases.py` publishes all of them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from trident.errors import ReleaseError, TridentError
from trident.release import Release
from trident.repository import numbers_in_use
from trident_export.publishing.examination import examine
from trident_export.publishing.publish import publish

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"
PER_KIND = 2


@pytest.fixture(scope="module")
def kinds() -> Iterator[ModuleType]:
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import damages

        yield damages
    finally:
        sys.path.remove(str(BENCHMARKS))


@pytest.fixture(scope="module")
def damages(kinds, tiny_release, other_release) -> list:
    return list(kinds.damages(tiny_release, other_release))


def refusal(folder: Path) -> str:
    """What is said of a release, as publish asks: digests first, then the examination."""
    try:
        Release.open(folder).verify()
    except TridentError as error:
        return str(error)
    return examine({"release": str(folder), "against": None, "gates": {}})["problem"] or "nothing"


def test_there_are_more_than_500(damages):
    assert len(damages) > 500
    assert len({(d.kind, d.name) for d in damages}) == len(damages)


def test_every_kind_is_refused_for_the_reason_that_fits(damages, tiny_release, tmp_path):
    wrong = []
    for kind in dict.fromkeys(d.kind for d in damages):
        own = [d for d in damages if d.kind == kind]
        for damage in own[:: max(1, len(own) // PER_KIND)][:PER_KIND]:
            folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
            damage.make(tiny_release, folder)
            said = refusal(folder)
            if not re.search(damage.reason, said):
                wrong.append((damage.kind, damage.name, damage.reason, said))
    assert wrong == []


def test_the_release_from_which_they_are_made_stays_whole(tiny_release):
    Release.open(tiny_release).verify()
    assert refusal(tiny_release) == "nothing"


@pytest.fixture(scope="module")
def repository(tiny_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undamaged") / "repository"
    publish(tiny_release, folder)
    return folder


def listing(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.mark.parametrize("name", ["index.faiss at 0", "1/11 of the text", "/etc/passwd"])
def test_a_refused_release_leaves_the_repository_as_it_was(damages, tiny_release, repository, tmp_path, name):
    damage = next(d for d in damages if d.name == name)
    damage.make(tiny_release, tmp_path / "damaged")
    before = listing(repository.parent)
    with pytest.raises(ReleaseError, match=damage.reason):
        publish(tmp_path / "damaged", repository)
    assert listing(repository.parent) == before
    assert numbers_in_use(repository) == {1}
