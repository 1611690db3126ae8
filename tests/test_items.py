import numpy as np
import pytest

from trident.contract import NO_ITEM
from trident.errors import InvalidInput, ReleaseError
from trident.item_ids import ItemIds, id_hash
from trident.items import ItemColumns, blocked_words, write_items
from trident.strings import StringColumn

IDS = ["a", "ümlaut", "x" * 100, "item-4"]


@pytest.fixture
def folder(tmp_path):
    n = len(IDS)
    write_items(
        tmp_path,
        IDS,
        ["A", "", "Große Fahrt", "D"],
        ["films", "songs"],
        features=np.zeros((n, 40)),
        vectors=np.zeros((n, 128)),
        category=[0, 1, -1, 1],
        published_at=np.arange(n),
        age_limit=[0, 12, 16, 18],
        in_stock=np.ones(n),
        flagged=np.zeros(n),
        blocked=blocked_words([[], [0], [64, 3], []], 65),
        popular=[[2, 0], [1, -1]],
    )
    return tmp_path


def test_ids_are_found_whatever_their_form(folder):
    items = ItemColumns.open(folder)
    assert items.rows(["item-4", b"a", "ümlaut", "nobody", "x" * 100]).tolist() == [3, 0, 1, NO_ITEM, 2]
    assert items.rows([]).tolist() == []
    assert items.ids.take(np.array([2, 0])) == [b"x" * 100, b"a"]


def test_ids_that_share_the_slots_of_what_is_remembered_are_found_all_the_same(folder, monkeypatch):
    monkeypatch.setattr("trident.item_ids.SLOTS", 2)
    items = ItemColumns.open(folder)
    for _ in range(2):
        assert items.rows(["a", "nobody", "a", "no one"]).tolist() == [0, NO_ITEM, 0, NO_ITEM]
        assert items.rows(["ümlaut", "a", "item-4"]).tolist() == [1, 0, 3]


def ids_of(names):
    column = StringColumn(np.cumsum([0, *map(len, names)]), np.frombuffer(b"".join(names), np.uint8))
    hashes = np.array([id_hash(name) for name in names], np.uint64)
    return ItemIds(column, np.sort(hashes), np.argsort(hashes).astype(np.int32))


@pytest.mark.parametrize("length", [54, 55, 56, 57, 127, 128])
def test_ids_that_begin_alike_are_told_apart_whatever_is_remembered(length):
    ids = ids_of([b"y" * count for count in range(1, 129)])
    others = [b"y" * (length - 1), b"y" * length + b"z", b"y" * (length - 1) + b"z"]
    for _ in range(2):
        assert ids.rows([b"y" * length]).tolist() == [length - 1]
        assert ids.rows(others).tolist() == [length - 2, NO_ITEM, NO_ITEM]


def test_ten_thousand_ids_are_found_whatever_was_asked_before(monkeypatch):
    monkeypatch.setattr("trident.item_ids.SLOTS", 1024)
    ids = ids_of([b"item-%d" % i for i in range(10_000)])
    random = np.random.default_rng(3)
    for _ in range(100):
        rows = random.zipf(1.3, 300) % 10_500
        assert ids.rows([b"item-%d" % row for row in rows]).tolist() == np.where(rows < 10_000, rows, NO_ITEM).tolist()


def test_texts_and_blocked_regions_survive(folder):
    items = ItemColumns.open(folder)
    assert [items.title(r) for r in range(4)] == ["A", "", "Große Fahrt", "D"]
    assert [items.category_name(r) for r in range(4)] == ["films", "songs", "", "songs"]
    assert items.blocked.tolist() == [[0, 0], [1, 0], [8, 1], [0, 0]]


def test_columns_of_different_lengths_are_refused(folder):
    np.save(folder / "category.npy", np.zeros(3, np.int32))
    with pytest.raises(ReleaseError, match="item column 'category': expected 4 rows, got 3"):
        ItemColumns.open(folder)


def test_a_column_of_another_dtype_is_refused(folder):
    np.save(folder / "category.npy", np.zeros(4, np.int64))
    with pytest.raises(ReleaseError, match="expected dtype int32, got int64"):
        ItemColumns.open(folder)


def test_a_single_list_of_popular_items_is_refused(folder):
    np.save(folder / "popular.npy", np.zeros(4, np.int32))
    with pytest.raises(ReleaseError, match=r"item column 'popular': expected \(1 \+ regions, p\), got \(4,\)"):
        ItemColumns.open(folder)


def test_a_missing_column_is_named(folder):
    (folder / "flagged.npy").unlink()
    with pytest.raises(ReleaseError, match="flagged"):
        ItemColumns.open(folder)


@pytest.mark.parametrize("wrong", ["", "x" * 129, "a\tb"])
def test_an_id_that_no_request_could_name_is_refused(tmp_path, wrong):
    with pytest.raises(InvalidInput, match="item ids, row 1: expected 1 to 128 bytes"):
        write_items(tmp_path, ["a", wrong], ["", ""], [])


def test_ids_of_one_hash_are_told_apart_by_their_bytes(folder, monkeypatch):
    np.save(folder / "id_hash.npy", np.full(len(IDS), 7, np.uint64))
    monkeypatch.setattr("trident.item_ids.id_hash", lambda name: 7)
    items = ItemColumns.open(folder)
    assert items.rows([*IDS, "unknown", "item-", "item-44"]).tolist() == [0, 1, 2, 3, NO_ITEM, NO_ITEM, NO_ITEM]
