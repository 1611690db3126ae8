from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trident.errors import InvalidInput
from trident_export.data import files
from trident_export.data.dataset import Dataset
from trident_export.data.schema import EVENTS, ITEMS, USERS

EVENT = {"user_id": "u1", "item_id": "i1", "timestamp": "2024-05-01T10:00:00Z"}


def write_lines(path: Path, rows: list[dict]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def load(tmp_path: Path, keep_unknown: bool = True, **tables: list[dict]) -> Dataset:
    source = tmp_path / "source"
    source.mkdir()
    for name, rows in tables.items():
        write_lines(source / f"{name}.jsonl", rows)
    return files.load(source, tmp_path / "out", keep_unknown=keep_unknown)


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def iso(moment: object) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def test_events_alone_become_a_dataset_of_defaults(tmp_path):
    dataset = load(tmp_path, events=[EVENT, EVENT | {"item_id": "i2"}])
    [first, second] = rows(dataset.events)
    assert (first["user_id"], first["event_type"], first["duration_seconds"], first["device"]) == (
        "u1",
        "view",
        None,
        None,
    )
    assert iso(first["timestamp"]) == "2024-05-01T10:00:00"
    assert second["item_id"] == "i2"
    assert rows(dataset.users) == [
        {"user_id": "u1", "age": None, "region": None, "member_since": None, "account_type": "unknown"}
    ]
    assert [i["item_id"] for i in rows(dataset.items)] == ["i1", "i2"]
    item = rows(dataset.items)[0]
    assert (item["title"], item["category"], item["tags"], item["language"]) == ("", "unknown", [], "und")
    assert (item["age_limit"], item["blocked_regions"], item["flagged"], item["in_stock"]) == (0, [], False, True)


def test_files_have_exactly_the_columns_of_the_schema(tmp_path):
    dataset = load(tmp_path, events=[EVENT | {"colour": "red"}], users=[{"user_id": "u1"}], items=[{"item_id": "i1"}])
    for table in (EVENTS, USERS, ITEMS):
        found = pq.read_schema(dataset.path(table))
        assert (found.names, found.types) == (table.arrow.names, table.arrow.types)
    assert Dataset.open(dataset.folder) == dataset
    assert dataset.truth is None


def test_given_users_and_items_keep_their_values_and_others_are_added(tmp_path):
    dataset = load(
        tmp_path,
        events=[EVENT, EVENT | {"user_id": "u0", "item_id": "i9"}],
        users=[{"user_id": "u1", "age": 33, "region": "DE", "member_since": "2020-01-02T00:00:00+02:00"}],
        items=[{"item_id": "i1", "tags": ["a", "b"], "price": 9.5, "flagged": True, "blocked_regions": ["FR"]}],
    )
    users, items = rows(dataset.users), rows(dataset.items)
    assert [(u["user_id"], u["age"], u["region"]) for u in users] == [("u0", None, None), ("u1", 33, "DE")]
    assert iso(users[1]["member_since"]) == "2020-01-01T22:00:00"
    assert [(i["item_id"], i["tags"], i["price"], i["flagged"], i["blocked_regions"]) for i in items] == [
        ("i1", ["a", "b"], 9.5, True, ["FR"]),
        ("i9", [], None, False, []),
    ]


def test_an_item_that_the_list_of_items_lacks_is_out_of_stock(tmp_path):
    dataset = load(tmp_path, events=[EVENT, EVENT | {"item_id": "gone"}], items=[{"item_id": "i1"}])
    assert {i["item_id"]: i["in_stock"] for i in rows(dataset.items)} == {"i1": True, "gone": False}


def test_an_id_that_no_request_could_name_gets_no_row(tmp_path):
    dataset = load(tmp_path, events=[EVENT, EVENT | {"item_id": "x" * 129}, EVENT | {"user_id": "a\nb"}])
    assert [i["item_id"] for i in rows(dataset.items)] == ["i1"]
    assert [u["user_id"] for u in rows(dataset.users)] == ["u1"]


@pytest.mark.parametrize(
    ("table", "row", "column"),
    [
        ("events", EVENT | {"location": "Germany"}, "location"),
        ("users", {"user_id": "u1", "region": "de"}, "region"),
        ("items", {"item_id": "i1", "blocked_regions": ["FR", "deu"]}, "blocked_regions"),
    ],
)
def test_a_region_that_is_no_country_code_is_refused_because_its_block_would_block_nobody(tmp_path, table, row, column):
    with pytest.raises(InvalidInput, match=f"column '{column}', row 1: expected two-letter ISO 3166 codes in capitals"):
        load(tmp_path, **{"events": [EVENT], table: [row]})


def test_unknown_users_can_be_left_out(tmp_path):
    dataset = load(tmp_path, keep_unknown=False, events=[EVENT], users=[{"user_id": "u2"}])
    assert [u["user_id"] for u in rows(dataset.users)] == ["u2"]


def test_ids_may_be_numbers_and_times_unix_seconds(tmp_path):
    dataset = load(tmp_path, events=[{"user_id": 7, "item_id": 8, "timestamp": 1714557600}])
    [event] = rows(dataset.events)
    assert (event["user_id"], event["item_id"], iso(event["timestamp"])) == ("7", "8", "2024-05-01T10:00:00")


def test_a_time_without_zone_is_utc_and_null_ids_are_left_to_validation(tmp_path):
    dataset = load(tmp_path, events=[EVENT | {"user_id": None, "timestamp": "2024-05-01 10:00:00"}, EVENT])
    [event, _] = rows(dataset.events)
    assert event["user_id"] is None
    assert iso(event["timestamp"]) == "2024-05-01T10:00:00"
    assert len(rows(dataset.users)) == 1


@pytest.mark.parametrize(
    ("table", "row", "expected"),
    [
        ("events", {"timestamp": "yesterday"}, "column 'timestamp', row 2: expected ISO-8601 time .* got 'yesterday'"),
        ("events", {"duration_seconds": "long"}, "column 'duration_seconds', row 2: expected a number, got 'long'"),
        ("events", {"user_id": ["u1"]}, "column 'user_id', row 2: expected text, got"),
        ("users", {"user_id": "u2", "age": 3.5}, "column 'age', row 2: expected a whole number, got '3.5'"),
        ("items", {"item_id": "i2", "tags": "a b"}, "column 'tags', row 2: expected a list of texts, got 'a b'"),
        ("items", {"item_id": "i2", "flagged": "yes"}, "column 'flagged', row 2: expected true or false, got 'yes'"),
        ("users", {"user_id": "u1"}, "column 'user_id': expected every id once, got 'u1' in 2 rows"),
        ("items", {"item_id": None}, "column 'item_id': expected an id in every row, got 1 without one"),
    ],
)
def test_a_wrong_value_is_named_with_file_column_and_row(tmp_path, table, row, expected):
    tables = {"events": [EVENT], "users": [{"user_id": "u1"}], "items": [{"item_id": "i1"}]}
    tables[table].append(tables[table][0] | row)
    with pytest.raises(InvalidInput, match=rf"{table}\.jsonl: {expected}"):
        load(tmp_path, **tables)


def test_a_missing_required_column_is_named_with_those_found(tmp_path):
    with pytest.raises(InvalidInput, match=r"events\.jsonl: column 'timestamp' is missing"):
        load(tmp_path, events=[{"user_id": "u1", "item_id": "i1"}])


def test_a_broken_line_is_named(tmp_path):
    (tmp_path / "events.jsonl").write_text(json.dumps(EVENT) + '\n{"user_id": \n')
    with pytest.raises(InvalidInput, match=r"events\.jsonl: cannot be read: .*Malformed JSON.*line"):
        files.load(tmp_path, tmp_path / "out")


def test_parquet_reads_like_json_lines(tmp_path):
    events = pa.table(
        {"user_id": [1, 2], "item_id": ["a", "b"], "timestamp": pa.array([0, 60_000], pa.timestamp("ms"))}
    )
    pq.write_table(events, tmp_path / "events.parquet")
    dataset = files.load(tmp_path, tmp_path / "out")
    assert [(e["user_id"], iso(e["timestamp"])) for e in rows(dataset.events)] == [
        ("1", "1970-01-01T00:00:00"),
        ("2", "1970-01-01T00:01:00"),
    ]


def test_a_folder_of_parquet_parts_is_one_table(tmp_path):
    (tmp_path / "events.parquet").mkdir()
    for part, user in enumerate("ab"):
        table = pa.Table.from_pylist([EVENT | {"user_id": user}])
        pq.write_table(table, tmp_path / "events.parquet" / f"part-{part}.parquet")
    dataset = files.load(tmp_path, tmp_path / "out")
    assert {e["user_id"] for e in rows(dataset.events)} == {"a", "b"}


def test_parquet_of_a_wrong_type_is_named(tmp_path):
    pq.write_table(pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": [True]}), tmp_path / "events.parquet")
    with pytest.raises(
        InvalidInput, match=r"events\.parquet: column 'timestamp': expected ISO-8601 .* column of BOOLEAN"
    ):
        files.load(tmp_path, tmp_path / "out")


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "events.parquet").write_bytes(b"hello")
    with pytest.raises(InvalidInput, match=r"events\.parquet: cannot be read"):
        files.load(tmp_path, tmp_path / "out")


def test_both_forms_of_one_table_are_ambiguous(tmp_path):
    write_lines(tmp_path / "events.jsonl", [EVENT])
    pq.write_table(pa.Table.from_pylist([EVENT]), tmp_path / "events.parquet")
    with pytest.raises(InvalidInput, match=r"expected events once, got events\.parquet and events\.jsonl"):
        files.load(tmp_path, tmp_path / "out")


def test_a_folder_without_events_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InvalidInput, match=r"expected events\.jsonl or events\.parquet, got notes\.txt"):
        files.load(tmp_path, tmp_path / "out")


def test_the_source_is_never_overwritten(tmp_path):
    write_lines(tmp_path / "events.jsonl", [EVENT])
    with pytest.raises(InvalidInput, match="another folder"):
        files.load(tmp_path, tmp_path)


def test_tables_in_memory_become_a_dataset(tmp_path):
    dataset = Dataset.write(tmp_path / "out", pa.Table.from_pylist([EVENT]), items=pa.table({"item_id": ["i1", "i2"]}))
    assert len(rows(dataset.events)) == 1
    assert [i["item_id"] for i in rows(dataset.items)] == ["i1", "i2"]
    assert [u["user_id"] for u in rows(dataset.users)] == ["u1"]


def test_opening_a_folder_that_lacks_a_file_says_which(tmp_path):
    dataset = Dataset.write(tmp_path, pa.Table.from_pylist([EVENT]))
    dataset.users.unlink()
    with pytest.raises(InvalidInput, match=r"users\.parquet: expected the users of a dataset"):
        Dataset.open(tmp_path)
