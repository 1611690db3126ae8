from dataclasses import fields

import pytest

from trident.errors import ReleaseError
from trident.rules import DEFAULT_RULES, LIMITS, SECTIONS, Rules


def test_the_defaults_are_those_of_the_specification():
    rules = Rules.read(DEFAULT_RULES)
    assert (rules.max_per_category, rules.strength, rules.days, rules.window_days) == (3, 0.1, 30.0, 7)
    assert [rules.pool_for(limit) for limit in (1, 20, 21, 50)] == [50, 50, 53, 125]


def test_every_rule_has_a_section_and_limits():
    names = {f.name for f in fields(Rules)}
    assert names == set(LIMITS) == {key for keys in SECTIONS.values() for key in keys}


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("max_per_category = 3", "max_per_category = 0", "max_per_category: expected int from 1 to 1000, got 0"),
        ("strength = 0.1", 'strength = "much"', "strength: expected float"),
        ("strength = 0.1", "strength = true", "strength: expected float"),
        ("hide_history = true", "hide_history = 1", "hide_history: expected bool"),
        ("strength = 0.1", "strength = nan", "strength: expected float"),
        ("days = 30.0", "day = 30.0", r"\[freshness\]: expected the keys strength, days"),
        ("[dedup]", "[dedupe]", r"\[dedup\]: expected the keys"),
        ("[dedup]", "[extra]\nx = 1\n[dedup]", "unknown sections: extra"),
        ("[dedup]", "[dedup", "cannot be read"),
    ],
)
def test_a_wrong_rule_is_named(old, new, text, tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(DEFAULT_RULES.read_text().replace(old, new))
    with pytest.raises(ReleaseError, match=text):
        Rules.read(path)
