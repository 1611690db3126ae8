import math
from dataclasses import fields
from datetime import datetime, timezone

import pytest

from trident.errors import ReleaseError
from trident.rules import DEFAULT_RULES, Boost, Pin, Rules
from trident.rules.file import SECTIONS
from trident.rules.values import FOREVER


def written(folder, text: str):
    path = folder / "rules.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_those_of_the_specification():
    rules = Rules.read(DEFAULT_RULES)
    assert (rules.max_per_category, rules.strength, rules.days, rules.window_days) == (3, 0.1, 30.0, 7)
    assert (rules.diversity, rules.consumed_events, rules.consumed_days) == (0.0, ("purchase",), 0)
    assert [rules.pool_for(limit) for limit in (1, 20, 21, 50)] == [50, 50, 53, 125]


def test_the_default_file_says_what_holds_without_a_file(tmp_path):
    assert Rules.read(DEFAULT_RULES) == Rules() == Rules.read(written(tmp_path, ""))


def test_every_rule_has_a_key():
    named = {name for keys in SECTIONS.values() for name, _ in keys.values()} - {"half_life_days"}
    assert {f.name for f in fields(Rules)} == named | {"pinned", "boosted"}


def test_the_default_file_names_every_key_but_the_other_way_to_say_days():
    text = DEFAULT_RULES.read_text()
    for section, keys in SECTIONS.items():
        part = text.split(f"[{section}]")[1].split("\n[")[0]
        assert all(f"\n{key} = " in part for key in keys if key != "half_life_days"), section


def test_a_file_of_ones_own_says_what_differs(tmp_path):
    path = written(
        tmp_path,
        """
        [diversity]
        max_in = { "board games" = 1 }
        strength = 1
        [freshness]
        half_life_days = 30
        [safety]
        never_items = ["a", "b"]
        [[pinned]]
        item = "i1"
        position = 3
        until = 2026-12-24
        [[boosted]]
        category = "music"
        factor = 2
        [[boosted]]
        item = "i2"
        factor = 0.5
        until = 2026-12-24T18:00:00+01:00
        """,
    )
    day = int(datetime(2026, 12, 24, tzinfo=timezone.utc).timestamp())
    expected = Rules(
        max_in={"board games": 1},
        diversity=1,
        days=30 / math.log(2),
        never_items=("a", "b"),
        pinned=(Pin("i1", 3, day + 86_400),),
        boosted=(Boost(2, category="music", until=FOREVER), Boost(0.5, item="i2", until=day + 17 * 3600)),
    )
    assert Rules.read(path) == expected


@pytest.mark.parametrize(
    ("share", "limit", "needed"), [(0.0, 20, 0), (0.1, 20, 2), (0.3, 10, 3), (0.01, 5, 1), (1, 7, 7)]
)
def test_a_share_of_new_items_is_rounded_up(share, limit, needed):
    assert Rules(new_share=share).new_needed(limit) == needed


PIN, OTHER = '[[pinned]]\nitem = "a"\nposition = 1\n', '[[pinned]]\nitem = "b"\nposition = 1\n'
BOOST = "[[boosted]]\nfactor = 2\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[diversity]\nmax_per_category = 0", r"\] max_per_category: expected a whole number from 1 to 1000, got 0"),
        ("[diversity]\nmax_per_category = 2.0", "expected a whole number from 1 to 1000, got 2.0"),
        ("[diversity]\nmax_in = { music = 0 }", "max_in: expected a table from names to a whole number from 1 to 1000"),
        ("[diversity]\nmax_in = 3", "max_in: expected a table"),
        ("[diversity]\nstrength = 1.5", r"\[diversity\] strength: expected a number from 0 to 1, got 1.5"),
        ('[freshness]\nstrength = "much"', r"\[freshness\] strength: expected a number from 0 to 10, got 'much'"),
        ("[freshness]\nstrength = true", "strength: expected a number"),
        ("[freshness]\nstrength = nan", "strength: expected a number"),
        ("[freshness]\nday = 3", r"\[freshness\]: unknown key: expected some of strength, days, .*, got 'day'"),
        ("[freshness]\ndays = 3\nhalf_life_days = 2", r"\[freshness\]: expected one of days, half_life_days, got both"),
        ("[dedup]\nhide_history = 1", "hide_history: expected true or false, got 1"),
        ("[dedupe]\nx = 1", "unknown key: expected some of diversity, .* got 'dedupe'"),
        ("dedup = 3", r"\[dedup\]: expected a table with some of the keys window_days, .* got 3"),
        ("[dedup", "cannot be read"),
        ('[consumed]\nevent_types = ["buy"]', "event_types: expected a list of distinct names of view, .*, got"),
        ("[safety]\nnever_items = [1]", "never_items: expected a list of distinct names, got"),
        ('[safety]\nnever_items = ["a", "a"]', "never_items: expected a list of distinct names, got"),
        ('[safety]\nnever_categories = "games"', "never_categories: expected a list of distinct names, got 'games'"),
        ("pinned = 1", r"pinned: expected entries that begin with \[\[pinned\]\], got 1"),
        ('[[pinned]]\nitem = "a"', r"\[\[pinned\]\] number 1: expected item and position, got item"),
        ('[[pinned]]\nitem = "a"\nposition = 51', "position: expected a whole number from 1 to 50, got 51"),
        (PIN + 'until = "soon"', "until: expected a date .*, got 'soon'"),
        (PIN + "until = 2026-12-24T18:00:00", "until: expected a date .* time zone, got"),
        (PIN + OTHER, "position: expected each one once, got 1 2 times"),
        (BOOST, r"\[\[boosted\]\] number 1: expected item or category and factor, got factor"),
        (BOOST + 'item = "a"\ncategory = "b"', "expected item or category and factor, got factor, item, category"),
        ('[[boosted]]\nitem = "a"\nfactor = 0', "factor: expected a number from 0.01 to 100, got 0"),
        (BOOST + 'item = ""', "item: expected a text that is not empty, got ''"),
    ],
)
def test_a_wrong_rule_is_named_with_what_was_expected_and_what_came(text, error, tmp_path):
    with pytest.raises(ReleaseError, match=error) as caught:
        Rules.read(written(tmp_path, text))
    assert str(caught.value).startswith("rules.toml")
    assert str(tmp_path) not in str(caught.value)


def test_rules_made_in_python_are_checked_too():
    with pytest.raises(ReleaseError, match=r"rules: \[diversity\] pool: expected a whole number from 1 to 500, got 0"):
        Rules(pool=0)
