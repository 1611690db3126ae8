from __future__ import annotations

import json
import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pytest

from trident_export.data.charts import compact, even_ticks, powers
from trident_export.data.dataset import Dataset
from trident_export.data.profile import ActivityBand, DayCounts, ItemRank, tail_ranks
from trident_export.data.report import ValidationReport
from trident_export.data.rules import MEANING, REASONS, ValidationRules
from trident_export.data.schema import EVENTS
from trident_export.data.validate import validate

NOON = datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
RULES = ValidationRules(now=NOON)


def event(user: str | None, item: str, days_ago: float = 0.0, **more: object) -> dict:
    return {"user_id": user, "item_id": item, "timestamp": NOON - timedelta(days=days_ago), "event_type": "view"} | more


def check(tmp_path: Path, events: list[dict], rules: ValidationRules = RULES) -> ValidationReport:
    table = pa.Table.from_pylist([{n: e.get(n) for n in EVENTS.names} for e in events], schema=EVENTS.arrow)
    return validate(Dataset.write(tmp_path / "in", table), tmp_path / "out", rules)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> ValidationReport:
    """Nine clean events: u1 has six of i1 and one of i2, u2 one of i2, u3 one of i3; and six that are rejected."""
    clean = [event("u1", "i1", k / 100, device="tv") for k in range(6)]
    clean += [event("u1", "i2", 2), event("u2", "i2", 2), event("u3", "i3", 3)]
    wrong = [event(None, "i1", 2), event("u1", "i2", 2), event("u9", "i9", timestamp=None)]
    wrong += [event("u1", "i1", 900), event("u1", "i1", 800), event("u1", "i1", -9)]
    return check(tmp_path_factory.mktemp("report"), clean + wrong)


def test_days_count_kept_and_rejected_events_and_what_lies_outside(report):
    found = report.profile
    assert found.days == (DayCounts("2024-05-29", 1, 0), DayCounts("2024-05-30", 2, 2), DayCounts("2024-06-01", 6, 0))
    assert (found.earlier, found.later, found.undated) == (2, 1, 1)
    rejected = sum(d.rejected for d in found.days) + found.earlier + found.later + found.undated
    assert (sum(d.kept for d in found.days), rejected) == (report.clean, report.quarantined)


def test_the_tail_ranks_items_by_their_clean_events(report):
    assert report.profile.item_ranks == (ItemRank(1, 6, 6 / 9), ItemRank(2, 2, 8 / 9), ItemRank(3, 1, 1.0))


def test_bands_hold_the_users_by_powers_of_two(report):
    assert report.profile.user_activity == (ActivityBand(1, 1, 2), ActivityBand(4, 7, 1))
    assert report.profile.median_events_per_user == 1


def test_powers_of_two_open_a_band(tmp_path):
    rows = [event(f"u{n}", f"i{k}") for n in (1, 2, 3, 4, 7, 8, 64) for k in range(n)]
    bands = check(tmp_path, rows).profile.user_activity
    assert [(b.least, b.most, b.users) for b in bands] == [(1, 1, 1), (2, 3, 2), (4, 7, 2), (8, 15, 1), (64, 127, 1)]


def test_the_json_holds_all_of_it_and_reads_back(report):
    stored = json.loads((report.folder / "report.json").read_text("utf-8"))
    assert stored["profile"]["days"][1] == {"day": "2024-05-30", "kept": 2, "rejected": 2}
    assert stored["rules"]["now"] == "2024-06-01T12:00:00+00:00"
    assert ValidationReport.read_from(report.folder) == report


class Page(HTMLParser):
    """Checks that tags are closed in order; collects tags, attributes and text."""

    VOID = ("meta",)

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_draws_all_plots_and_loads_nothing(report):
    text = report.page.read_text("utf-8")
    page = Page(text)
    assert page.tags.count("svg") == 5
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert not {"src", "href"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    for title in ("Events per day", "Reasons", "Long tail of items", "Activity of users", "Rules"):
        assert f"<h2>{title}</h2>" in text


def test_the_page_shows_the_numbers_of_the_report(report):
    text = Page(report.page.read_text("utf-8")).text
    assert "2 before, 1 after, 1 without a time" in text
    assert "2024-05-30: 2 rejected" in text
    assert "too_old: 2 (13.33%)" in text
    assert "item 1: 6 events; up to here 66.7% of all events" in text
    assert "1 users with 4–7 events" in text
    for reason in REASONS:
        assert reason in text
        assert MEANING[reason] in text


def test_marks_are_as_long_as_their_numbers(report):
    plot = report.page.read_text("utf-8").split("<h2>Reasons</h2>")[1]
    shown = re.findall(r'width="([\d.]+)" height="\d+"><title>(\w+): (\d+)', plot)
    assert {reason: int(n) for _, reason, n in shown} == {r: n for r, n in report.rejected.items() if n}
    longest = max(float(width) for width, _, _ in shown)
    assert all(float(width) == pytest.approx(longest * int(n) / 2, abs=0.1) for width, _, n in shown)


@pytest.mark.parametrize("events", [[], [event(None, "i1")], [event(None, "i1", timestamp=None)]])
def test_nothing_clean_is_said_not_drawn(tmp_path, events):
    text = check(tmp_path, events).page.read_text("utf-8")
    Page(text)
    assert text.count("<p>No clean events.</p>") == 2


def test_years_are_drawn_in_columns_of_several_days(tmp_path):
    rules = ValidationRules(now=NOON, max_age_days=None)
    rows = [event("u1", f"i{k}", k * 2) for k in range(400)]
    text = check(tmp_path, rows, rules).page.read_text("utf-8")
    assert "Each column is 3 days." in text
    assert text.count(" kept</title>") == 267


def test_ranks_are_ascending_within_the_items_and_end_with_the_last():
    for items in (1, 2, 3, 10, 1_000, 1_000_000):
        ranks = tail_ranks(items)
        assert (ranks[0], ranks[-1]) == (1, items)
        assert ranks == sorted(set(ranks))
        assert len(ranks) <= 66
    assert tail_ranks(0) == []


def test_ticks_are_round():
    assert even_ticks(0) == [0]
    assert even_ticks(3) == [0, 1, 2, 3]
    assert even_ticks(437) == [0, 100, 200, 300, 400]
    assert even_ticks(999) == [0, 200, 400, 600, 800]
    assert powers(999) == [1, 10, 100]
    assert [compact(n) for n in (0, 950, 1_500, 20_000_000)] == ["0", "950", "1.5k", "20M"]
