from __future__ import annotations

import re
from dataclasses import fields
from datetime import datetime, timezone
from pathlib import Path

import pytest

from trident.errors import InvalidInput
from trident_export.data.loading import rules_for
from trident_export.data.rules import MEANING, ValidationRules
from trident_export.data.rules_file import DEFAULT_VALIDATION, SECTIONS, read_rules


def write(folder: Path, text: str) -> Path:
    path = folder / "validation.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_default_file_names_every_rule_and_holds_the_defaults():
    assert read_rules(DEFAULT_VALIDATION) == ValidationRules()
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(f.name for f in fields(ValidationRules))
    text = DEFAULT_VALIDATION.read_text("utf-8")
    for section, keys in SECTIONS.items():
        part = text.split(f"[{section}]")[1].split("\n[")[0]
        assert all(f"{key} = " in part for key in keys)


def test_the_keys_that_the_default_file_leaves_out_read_as_it_shows_them(tmp_path):
    text = DEFAULT_VALIDATION.read_text("utf-8").replace("# now", "now").replace("# oldest", "oldest")
    rules = read_rules(write(tmp_path, text))
    assert rules.now == datetime(2024, 6, 1, 12, tzinfo=timezone.utc)
    assert rules.oldest == datetime(2023, 1, 1, tzinfo=timezone.utc)


def test_what_a_file_does_not_name_stays_as_the_source_wants_it(tmp_path):
    path = write(tmp_path, "[bots]\nrhythm_minutes = 9\n")
    assert rules_for("movielens", path).max_events_per_day == 10_000
    assert rules_for("movielens", path).max_age_days is None
    assert rules_for("movielens", path).rhythm_minutes == 9
    assert rules_for("files", path) == ValidationRules(rhythm_minutes=9)


def test_values_that_toml_writes_otherwise(tmp_path):
    rules = read_rules(
        write(tmp_path, '[time]\nmax_age_days = false\noldest = 2020-02-03\n[events]\nevent_types = ["view"]\n')
    )
    assert rules.max_age_days is None
    assert rules.oldest == datetime(2020, 2, 3, tzinfo=timezone.utc)
    assert rules.event_types == ("view",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[bot]\nx = 1", "expected the sections time, events, tables, bots, engine, got bot"),
        ("bots = 3", "expected the sections time, events, tables, bots, engine, got bots"),
        ("[bots]\nmax_event = 5", r"\[bots\]: expected the keys max_events_per_day, .*, got max_event"),
        ("[tables]\nrhythm_minutes = 5", r"\[tables\]: expected the keys known_users, known_items, got rhythm_minutes"),
        ("[bots]\nmax_events_per_day = 0", "'max_events_per_day': expected a whole number, at least 1, got 0"),
        ("[bots]\nmax_events_per_day = 1.5", "'max_events_per_day': expected a whole number, at least 1, got 1.5"),
        ("[bots]\nrhythm_seconds = 61", "'rhythm_seconds': expected a whole number, 1 to 60, got 61"),
        ("[bots]\nrepeat_factor = nan", "'repeat_factor': expected at least 1, got nan"),
        ("[time]\nmax_age_days = true", "'max_age_days': expected a whole number, 1 to 36500, got True"),
        ("[time]\nstray_share = 2.0", "'stray_share': expected 0 to 1, got 2.0"),
        ('[time]\nnow = "today"', "'now': expected a date and time such as .*, got 'today'"),
        ('[events]\nevent_types = "view"', "'event_types': expected some of view, .*, got 'view'"),
        ('[events]\nevent_types = ["hover"]', "'event_types': expected some of view, click, .*, got"),
        ("[events]\nevent_types = []", "'event_types': expected some of view"),
        ("[tables]\nknown_users = 1", "'known_users': expected true or false, got 1"),
        ('[engine]\nmemory = "much"', "'memory': expected a size such as 4GB, got 'much'"),
        ("[bots", "expected a TOML file with rules of validation: "),
    ],
)
def test_a_wrong_file_is_named_with_its_key_the_expected_and_what_came(tmp_path, text, message):
    with pytest.raises(InvalidInput, match=rf"validation\.toml: .*{message}"):
        read_rules(write(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"nowhere\.toml: expected a TOML file"):
        read_rules(tmp_path / "nowhere.toml")


def test_the_page_about_validation_names_every_reason_and_shows_the_default_file():
    page = (Path(__file__).resolve().parents[3] / "docs" / "validation.md").read_text("utf-8")
    assert f"```toml\n{DEFAULT_VALIDATION.read_text('utf-8')}```" in page
    assert re.findall(r"^\| `(\w+)` \| (.*) \|$", page, re.M) == list(MEANING.items())
