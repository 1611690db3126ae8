from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trident.contract import EMBEDDING_DIM, ITEM_FEATURES, USER_FEATURES
from trident.errors import ReleaseError
from trident.features.vocabulary import Vocabulary
from trident.items import ItemColumns
from trident.release import Manifest, Release
from trident.rules import Rules
from trident.users import HISTORY, UserRows, read_default
from trident_export.catalogue import Catalogue, Users
from trident_export.writer import ServedRows, replacing, write_manifest, write_rows, write_rules

VOCABULARY = Vocabulary(categories=("drama", "comedy"), regions=tuple(f"R{i}" for i in range(70)))
USERS = Users(["u1", "ü2"], np.array([30, -1], np.int32), np.array([69, -1], np.int32))
CATALOGUE = Catalogue(
    ids=["a", "b", "ç"],
    titles=["A", "", "Ça"],
    category=np.array([1, -1, 0], np.int32),
    published_at=np.array([100, 0, -5]),
    age_limit=np.array([0, 18, 255], np.uint8),
    in_stock=np.array([True, False, True]),
    flagged=np.array([False, False, True]),
    blocked=[[], [0, 69], [3]],
)
ROWS = ServedRows(
    users=np.arange(2 * USER_FEATURES, dtype=np.float32).reshape(2, -1),
    histories=np.full((2, HISTORY), -1),
    history_times=np.zeros((2, HISTORY), np.int64),
    default_user=np.zeros(USER_FEATURES, np.float32),
    items=np.arange(3 * ITEM_FEATURES, dtype=np.float32).reshape(3, -1),
    vectors=np.ones((3, EMBEDDING_DIM), np.float16),
    popular=np.array([[2, 0]] * 71),
)
MANIFEST = Manifest("now", "space", "schema", 7, 3, 2, VOCABULARY.to_dict(), {"nprobe": 1})


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    write_rows(tmp_path, USERS, CATALOGUE, VOCABULARY, ROWS)
    items, users = ItemColumns.open(tmp_path / "items"), UserRows.open(tmp_path / "users")
    assert items.rows(["ç", "nobody", "a"]).tolist() == [2, -1, 0]
    assert items.title(2) == "Ça"
    assert [items.category_name(row) for row in range(3)] == ["comedy", "", "drama"]
    assert items.age_limit.tolist() == [0, 18, 255]
    assert items.flagged.tolist() == [False, False, True]
    assert items.popular.tolist() == [[2, 0]] * 71
    assert users.ids.take(np.arange(2)) == [b"u1", "ü2".encode()]
    assert (users.features == ROWS.users).all()
    assert (read_default(tmp_path / "users" / "default.npy") == 0).all()


def test_every_region_of_the_vocabulary_has_a_bit(tmp_path: Path) -> None:
    write_rows(tmp_path, USERS, CATALOGUE, VOCABULARY, ROWS)
    blocked = ItemColumns.open(tmp_path / "items").blocked
    assert blocked.shape == (3, 2)
    assert blocked.tolist() == [[0, 0], [1, 1 << 5], [1 << 3, 0]]


def release(folder: Path, **changes: object) -> None:
    write_rules(folder, None)
    write_rows(folder, USERS, CATALOGUE, VOCABULARY, ROWS)
    write_manifest(folder, Manifest(**{**vars(MANIFEST), **changes}))


def fail(out: Path) -> None:
    with replacing(out) as draft:
        release(draft, no_such_field="breaks after the rows were written")


def test_a_written_release_verifies_and_a_touched_one_does_not(tmp_path: Path) -> None:
    out = tmp_path / "release"
    with replacing(out) as draft:
        release(draft)
    opened = Release.open(out)
    opened.verify()
    assert len(opened.items) == 3
    (out / "rules.toml").write_text("")
    with pytest.raises(ReleaseError, match=r"rules\.toml"):
        opened.verify()


def test_a_release_is_replaced_only_when_the_next_one_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "release"
    with replacing(out) as draft:
        release(draft, created="first")
    with pytest.raises(TypeError):
        fail(out)
    assert Release.open(out).manifest.created == "first"
    with replacing(out) as draft:
        release(draft, created="second")
    assert Release.open(out).manifest.created == "second"
    assert [p.name for p in tmp_path.iterdir()] == ["release"]


def test_a_failed_first_build_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        fail(tmp_path / "deep" / "release")
    assert list((tmp_path / "deep").iterdir()) == []


def test_a_folder_with_other_files_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ReleaseError, match="other files"), replacing(tmp_path):
        pytest.fail("it must not come this far")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    with pytest.raises(ReleaseError, match="no folder"), replacing(tmp_path / "thesis.txt"):
        pytest.fail("it must not come this far")


def test_an_empty_folder_is_a_free_place(tmp_path: Path) -> None:
    out = tmp_path / "empty"
    out.mkdir()
    with replacing(out) as draft:
        release(draft)
    Release.open(out).verify()


def test_rules_are_checked_before_they_are_copied(tmp_path: Path) -> None:
    write_rules(tmp_path, None)
    assert Rules.read(tmp_path / "rules.toml").max_per_category == 3
    mine = tmp_path / "mine.toml"
    mine.write_text((tmp_path / "rules.toml").read_text().replace("max_per_category = 3", "max_per_category = 0"))
    with pytest.raises(ReleaseError, match="max_per_category"):
        write_rules(tmp_path, mine)
