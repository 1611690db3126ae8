"""Publishing into a repository that no server serves."""

from __future__ import annotations

import json
import shutil

import pytest

from trident.errors import ReleaseError
from trident.repository import numbers_in_use, serving_release
from trident_export.publishing import history, journal, places, publish
from trident_export.publishing.journal import DRY_RUN, HOLD
from trident_export.publishing.publish import Options

from .conftest import tree


def test_a_dry_run_leaves_nothing(unexamined, tiny_release, tmp_path):
    folder = tmp_path / "place" / "repository"
    assert publish.publish(tiny_release, folder, options=Options(act=DRY_RUN)) == 1
    assert list(folder.parent.iterdir()) == []
    publish.publish(tiny_release, folder)
    before = tree(folder.parent)
    assert publish.publish(tiny_release, folder, options=Options(act=DRY_RUN)) == 2
    assert tree(folder.parent) == before


def test_a_held_release_waits_beside_the_serving_one_and_the_next_publish_takes_its_place(repository, tiny_release):
    assert publish.publish(tiny_release, repository, options=Options(act=HOLD)) == 3
    assert (numbers_in_use(repository), serving_release(repository)) == ({1, 2, 3}, 2)
    assert publish.publish(tiny_release, repository) == 4
    assert (numbers_in_use(repository), serving_release(repository)) == ({2, 4}, 4)


def test_nothing_of_the_release_folder_is_shared_so_that_what_happens_to_it_later_changes_nothing(
    repository, tiny_release
):
    for file in ("index.faiss", "rules.toml"):
        served = (repository / "candidates" / "2" / file).stat()
        assert served.st_ino != (tiny_release / file).stat().st_ino
    ids = [repository / model / "2" / "items" / "ids.bytes.npy" for model in ("candidates", "business_rules")]
    assert ids[0].samefile(ids[1])


def test_what_fails_before_the_flip_leaves_everything_as_it_was(repository, tiny_release, monkeypatch):
    """Releases that were put away come back: here the one that a rollback left."""
    from trident_export.publishing import pointer
    from trident_export.publishing.rollback import rollback

    assert rollback(repository) == 1
    before = tree(repository.parent)
    monkeypatch.setattr(pointer, "point", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        publish.publish(tiny_release, repository)
    assert tree(repository.parent) == before


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    check = {"name": "recall@500", "limit": 0.9, "got": 0.4, "running": 0.95, "passed": False}
    monkeypatch.setattr(publish, "examine", lambda *_: [check])


def test_a_gate_that_fails_refuses_and_a_reason_overrides_it_and_is_recorded(tiny_release, tmp_path, failing):
    folder = tmp_path / "repository"
    text = r"recall@500: expected 0.9, got 0.4 \(the serving release: 0.95\): not published; with `--force --reason"
    with pytest.raises(ReleaseError, match=text):
        publish.publish(tiny_release, folder)
    assert list(tmp_path.iterdir()) == []
    assert publish.publish(tiny_release, folder, options=Options(override="the old one is worse")) == 1
    (line,) = history.read(folder)
    assert (line["override"], line["checks"][0]["passed"]) == ("the old one is worse", False)
    assert (line["act"], line["release"], line["before"], line["source"]) == ("publish", 1, None, "tiny")
    assert "@" in line["who"]
    assert line["when"].startswith("20")


def test_a_release_without_its_room_on_the_disk_is_refused(repository, tiny_release, monkeypatch):
    before = tree(repository.parent)
    usage = shutil.disk_usage(repository)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ReleaseError, match=r"is full: the release needs [\d,]+ bytes, 1,000 are free; nothing was"):
        publish.publish(tiny_release, repository)
    assert tree(repository.parent) == before


def test_a_journal_that_cannot_be_read_is_no_reason_to_guess(repository, tiny_release):
    places.beside(repository, "journal").write_text("{")
    with pytest.raises(ReleaseError, match=r"\.repository\.journal cannot be read"):
        publish.publish(tiny_release, repository)


def test_the_journal_says_what_is_under_way(repository, tiny_release, monkeypatch):
    seen = []

    def look(*_):
        seen.append(json.loads(places.beside(repository, "journal").read_text()))
        return []

    monkeypatch.setattr(publish, "examine", look)
    publish.publish(tiny_release, repository)
    assert [(s["act"], s["release"], s["before"], s["step"]) for s in seen] == [("publish", 3, 2, "examine")]
    assert journal.unfinished(repository) is None
