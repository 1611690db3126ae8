from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trident.errors import InvalidInput
from trident_export.data.dataset import Dataset
from trident_export.data.report import ValidationReport
from trident_export.data.rules import REASONS, ValidationRules
from trident_export.data.schema import EVENTS, ITEMS
from trident_export.data.validate import validate

NOW = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
RULES = ValidationRules(now=NOW)
MORNING = NOW.replace(hour=0)


def event(user: str | None = "u1", item: str | None = "i1", at: datetime | None = NOW, **more: object) -> dict:
    return {"user_id": user, "item_id": item, "timestamp": at, "event_type": "view", **more}


def check(tmp_path: Path, events: list[dict], rules: ValidationRules = RULES) -> ValidationReport:
    names = EVENTS.names
    table = pa.Table.from_pylist([{n: e.get(n) for n in names} for e in events], schema=EVENTS.arrow)
    dataset = Dataset.write(tmp_path / "in", table)
    return validate(dataset, tmp_path / "out", rules)


def rejected(report: ValidationReport) -> dict[str, int]:
    return {reason: count for reason, count in report.rejected.items() if count}


def clean(report: ValidationReport) -> list[dict]:
    return pq.read_table(report.dataset.events).to_pylist()


def quarantined(report: ValidationReport) -> list[dict]:
    return pq.read_table(report.quarantine).to_pylist()


def test_of_five_rows_with_missing_user_item_and_time_two_survive(tmp_path):
    report = check(tmp_path, [event(user=None), event(item=None), event(at=None), event(), event("u2")])
    assert (report.read, report.clean) == (5, 2)
    assert rejected(report) == {"missing_user": 1, "missing_item": 1, "missing_time": 1}


def test_an_id_that_no_request_could_name_is_rejected(tmp_path):
    rows = [event("u" * 129), event(item="a\nb"), event("u" * 128), event("ü" * 60)]
    report = check(tmp_path, rows)
    assert (report.clean, rejected(report)) == (2, {"malformed_id": 2})


def test_of_four_rows_with_two_exact_repeats_two_survive(tmp_path):
    report = check(tmp_path, [event(), event(), event("u2"), event("u2")])
    assert (report.clean, rejected(report)) == (2, {"duplicate": 2})
    assert [e["user_id"] for e in clean(report)] == ["u1", "u2"]


def test_rows_that_differ_in_one_column_are_no_repeats(tmp_path):
    rows = [event(), event(device="tv"), event(location="DE"), event(duration_seconds=1.0), event(event_type="click")]
    assert check(tmp_path, rows).clean == 5


def test_the_user_with_ten_thousand_events_today_is_flagged_and_those_with_20_and_50_are_not(tmp_path):
    rows = [
        event(user, f"i{k}", MORNING + timedelta(seconds=(4.3 if n > 100 else 500) * k))
        for user, n in (("bot", 10_000), ("a", 20), ("b", 50))
        for k in range(n)
    ]
    report = check(tmp_path, rows)
    assert rejected(report) == {"bot_volume": 10_000}
    assert (report.clean, report.users, report.bots) == (70, 2, 1)


def test_a_steady_rhythm_of_one_a_second_is_a_bot(tmp_path):
    steady = [event("bot", f"i{k}", MORNING + timedelta(seconds=30 + k * 1.05)) for k in range(400)]
    page = [
        event("reader", f"i{k}", MORNING + timedelta(seconds=k // 40)) for k in range(400)
    ]  # many at the same moment
    slow = [event("slow", f"i{k}", MORNING + timedelta(seconds=k * 3)) for k in range(400)]
    assert rejected(check(tmp_path, steady + page + slow)) == {"bot_rhythm": 400}


def test_a_rhythm_that_wavers_about_whole_seconds_is_one(tmp_path):
    wavering = [event("bot", f"i{k}", MORNING + timedelta(seconds=k + 0.04 * (-1) ** k)) for k in range(400)]
    assert rejected(check(tmp_path, wavering)) == {"bot_rhythm": 400}


def test_fractions_of_a_second_make_no_rhythm_and_hide_no_pattern(tmp_path):
    quick = [event("quick", f"i{k}", MORNING + timedelta(seconds=2 * (k // 2) + 0.1 * (k % 7))) for k in range(400)]
    loop = [event("bot", f"i{k % 4}", MORNING + timedelta(seconds=100 * k + 0.001 * (k * k % 97))) for k in range(100)]
    assert rejected(check(tmp_path, quick + loop)) == {"bot_repetition": 100}


def test_the_same_pattern_repeated_exactly_is_a_bot(tmp_path):
    loop = [event("bot", f"i{k % 4}", MORNING + timedelta(seconds=100 * k)) for k in range(100)]
    fan = [event("fan", f"i{k % 4}", MORNING + timedelta(seconds=100 * k + k * k % 97)) for k in range(100)]
    assert rejected(check(tmp_path, loop + fan)) == {"bot_repetition": 100}


def test_time_after_now_is_the_future_but_a_small_skew_is_not(tmp_path):
    rows = [event(at=NOW + timedelta(seconds=s)) for s in (0, 299, 301, 86_400)]
    assert rejected(check(tmp_path, rows)) == {"future": 2}


def test_age_counts_from_the_newest_event_and_the_limit_itself_is_kept(tmp_path):
    newest = datetime(1998, 4, 22, tzinfo=timezone.utc)
    rows = [event(at=newest - timedelta(days=d)) for d in (0, 730, 730.1, 900)]
    assert rejected(check(tmp_path, rows)) == {"too_old": 2}


def test_a_given_date_takes_the_place_of_the_age(tmp_path):
    rows = [event(at=NOW - timedelta(days=d)) for d in (0, 10, 20)]
    assert rejected(check(tmp_path, rows, ValidationRules(now=NOW, oldest=NOW - timedelta(days=15)))) == {"too_old": 1}
    assert rejected(check(tmp_path, rows, ValidationRules(now=NOW, max_age_days=None))) == {}


def test_a_time_that_no_calendar_has_is_the_future(tmp_path):
    strays = pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": pa.array([10**18], EVENTS.arrow.types[2])})
    rows = pa.Table.from_pylist([event()]).select(strays.column_names).cast(strays.schema)
    for name, events, newest in (("one", [strays], ""), ("both", [rows, strays], "2024-06-01T12:00:00Z")):
        dataset = Dataset.write(tmp_path / name, pa.concat_tables(events))
        report = validate(dataset, tmp_path / f"{name}-out", RULES)
        assert (rejected(report), report.newest, report.profile.later) == ({"future": 1}, newest, 1)


def test_strays_after_a_pause_are_future_and_do_not_move_the_newest(tmp_path):
    start = datetime(1998, 1, 1, tzinfo=timezone.utc)
    rows = [event("u1", f"i{k}", start + timedelta(hours=k)) for k in range(400)]
    strays = [event("u2", "i1", start + timedelta(days=d)) for d in (200, 3_000, 8_000)]
    report = check(tmp_path, rows + strays)
    assert rejected(report) == {"future": 3}
    assert report.newest.startswith("1998-01-17")


def test_a_pause_with_enough_events_after_it_is_no_reason(tmp_path):
    rows = [event(f"u{d}", at=NOW - timedelta(days=d)) for d in (0, 1, 100, 101)]
    assert check(tmp_path, rows).clean == 4


def test_unknown_types_and_impossible_durations_are_named(tmp_path):
    durations = [event(duration_seconds=s) for s in (0.0, 86_400.0, -0.1, 86_400.1, float("nan"))]
    report = check(tmp_path, [*durations, event(event_type="hover")])
    assert rejected(report) == {"unknown_event_type": 1, "negative_duration": 1, "absurd_duration": 2}


def strict_dataset(tmp_path: Path) -> Dataset:
    """Three events, of which one names a user and one an item that the tables do not have."""
    dataset = Dataset.write(tmp_path / "in", pa.Table.from_pylist([event(), event("u2"), event(item="i2")]))
    for path, key in ((dataset.users, "user_id"), (dataset.items, "item_id")):
        table = pq.read_table(path)
        pq.write_table(table.filter(pa.array([k in ("u1", "i1") for k in table[key].to_pylist()])), path)
    return dataset


def test_unknown_users_and_items_are_rejected_on_request_only(tmp_path):
    dataset = strict_dataset(tmp_path)
    assert validate(dataset, tmp_path / "lenient", RULES).clean == 3
    report = validate(dataset, tmp_path / "strict", ValidationRules(now=NOW, known_users=True, known_items=True))
    assert rejected(report) == {"unknown_user": 1, "unknown_item": 1}


def test_what_clean_events_name_and_a_table_lacks_gets_a_row_of_defaults(tmp_path):
    report = validate(strict_dataset(tmp_path), tmp_path / "out", ValidationRules(now=NOW, known_users=True))
    assert rejected(report) == {"unknown_user": 1}
    assert pq.read_table(report.dataset.users)["user_id"].to_pylist() == ["u1"]
    known, added = pq.read_table(report.dataset.items).to_pylist()
    assert (known["item_id"], added.pop("item_id")) == ("i1", "i2")
    assert added == {c.name: c.default for c in ITEMS.columns[1:]} | {
        "tags": [],
        "blocked_regions": [],
        "in_stock": False,
    }
    assert Dataset.open(report.folder) == report.dataset


def test_clean_events_are_sorted_and_a_view_comes_before_its_click(tmp_path):
    rows = [event(event_type="click"), event("u0", at=NOW - timedelta(1)), event(), event(event_type="purchase")]
    report = check(tmp_path, rows)
    assert [e["event_type"] for e in clean(report)] == ["view", "view", "click", "purchase"]
    assert clean(report)[0]["user_id"] == "u0"


def test_each_row_has_one_reason_and_none_is_lost(tmp_path):
    rows = [event(user="", item=None), event(user="", item=None), event(at=NOW + timedelta(9), event_type="x"), event()]
    report = check(tmp_path, rows)
    assert sorted(e["reason"] for e in quarantined(report)) == ["missing_user", "missing_user", "unknown_event_type"]
    assert report.clean + len(quarantined(report)) == report.read == 4
    assert set(pq.read_schema(report.quarantine).names) == {*EVENTS.names, "reason"}


def test_no_events_and_no_clean_events_are_reported_not_raised(tmp_path):
    assert check(tmp_path, []).read == 0
    report = check(tmp_path, [event(user=None)])
    assert (report.clean, report.first) == (0, "")
    assert "0 of 1 events clean" in report.summary()


def test_the_report_is_one_line_and_a_file_that_adds_up(tmp_path):
    report = check(tmp_path, [event(), event(), event("u2")])
    assert report.summary() == (
        "data quality: 2 of 3 events clean (66.67%), 2 users, 1 items from 2024-06-01 to 2024-06-01;"
        " 1 in quarantine: duplicate 1"
    )
    stored = json.loads((tmp_path / "out" / "report.json").read_text())
    assert stored["read"] == stored["clean"] + stored["quarantined"]
    assert tuple(stored["rejected"]) == REASONS
    assert ValidationReport.read_from(tmp_path / "out") == report
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "events.parquet", "items.parquet", "quarantine.parquet", "report.html", "report.json", "users.parquet",
    ]  # fmt: skip
    assert Dataset.open(tmp_path / "out") == report.dataset


def test_the_dataset_is_never_overwritten(tmp_path):
    dataset = Dataset.write(tmp_path, pa.Table.from_pylist([event()]))
    with pytest.raises(InvalidInput, match="another folder"):
        validate(dataset, tmp_path)


def test_rules_that_make_no_sense_are_refused():
    with pytest.raises(InvalidInput, match="'rhythm_seconds': expected a whole number, 1 to 60, got 61"):
        ValidationRules(rhythm_seconds=61)
    with pytest.raises(InvalidInput, match="'pause_days': expected a whole number, at least 1, got 0"):
        ValidationRules(pause_days=0)
