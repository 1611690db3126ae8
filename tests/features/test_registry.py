from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from trident import contract
from trident.errors import ReleaseError
from trident.features import registry
from trident.features.page import page
from trident.features.vocabulary import LARGEST, Vocabulary, ranked

VOCABULARY = Vocabulary(("film", "book"), ("drama",), ("en",), ("NO", "SE"), ("free",))


def test_the_groups_have_40_40_20_20_features_in_matrix_order():
    sizes = {group: len(features) for group, features in registry.GROUPS.items()}
    assert sizes == {"user": 40, "item": 40, "context": 20, "cross": 20}
    assert len(registry.ALL) == contract.FEATURES
    assert [f.group for f in registry.ALL] == ["user"] * 40 + ["item"] * 40 + ["context"] * 20 + ["cross"] * 20


def test_names_are_distinct_and_begin_with_their_group():
    assert len({f.name for f in registry.ALL}) == contract.FEATURES
    assert all(f.name.startswith(f"{f.group}_") for f in registry.ALL)


def test_index_counts_in_the_matrix_and_place_in_the_group():
    assert registry.index("item_category") == 40
    assert registry.place("item_category") == 0
    with pytest.raises(KeyError):
        registry.index("item_smell")


def test_code_columns_name_a_list_of_the_vocabulary():
    assert {f.vocabulary for f in registry.ALL if f.vocabulary} <= {"devices", *VOCABULARY.to_dict()}


def test_schema_hash_is_16_hex_digits_and_changes_with_any_code_list():
    first = registry.schema_hash(VOCABULARY)
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert first == registry.schema_hash(Vocabulary.from_dict(VOCABULARY.to_dict()))
    assert first != registry.schema_hash(replace(VOCABULARY, regions=("SE", "NO")))


def test_schema_hash_changes_with_a_formula(monkeypatch):
    before = registry.schema_hash(VOCABULARY)
    changed = (replace(registry.ALL[0], formula="months"), *registry.ALL[1:])
    monkeypatch.setattr(registry, "ALL", changed)
    assert registry.schema_hash(VOCABULARY) != before


def test_codes_are_places_in_the_list_and_unknown_is_minus_one():
    assert VOCABULARY.code("regions", "SE") == 1
    assert VOCABULARY.code("regions", "DK") == VOCABULARY.code("regions", None) == -1
    assert VOCABULARY.codes("categories", ["book", None, "film", "?"]).tolist() == [1, -1, 0, -1]
    assert VOCABULARY.values("devices") == contract.DEVICES


def test_lists_are_ranked_by_count_then_name_and_capped():
    assert ranked({"c": 1, "b": 2, "a": 1}) == ("b", "a", "c")
    assert len(ranked({str(i): 1 for i in range(LARGEST + 5)})) == LARGEST


@pytest.mark.parametrize("spoil", [{"smells": []}, {"regions": ["NO", "NO"]}, {"regions": [1]}])
def test_a_damaged_vocabulary_is_refused(spoil):
    with pytest.raises(ReleaseError, match="vocabulary"):
        Vocabulary.from_dict(VOCABULARY.to_dict() | spoil)


def test_the_documentation_page_is_current():
    written = Path(__file__).parents[2] / "docs" / "features.md"
    assert written.read_text("utf-8") == page(), "run `python -m trident.features`"
