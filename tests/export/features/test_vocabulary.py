from __future__ import annotations

from trident_export.features import build_vocabulary


def test_lists_go_by_count_then_name_and_leave_out_what_is_unknown(write, noon):
    dataset = write(
        [{"user_id": "u", "item_id": "a", "timestamp": noon, "location": place} for place in ("SE", "DE", None)],
        [
            {"user_id": "u", "region": "NO", "account_type": "pro"},
            {"user_id": "v", "region": "SE", "account_type": None},
        ],
        [
            {
                "item_id": "a",
                "category": "film",
                "subcategory": "drama",
                "language": "en",
                "blocked_regions": ["DK", "NO"],
            },
            {"item_id": "b", "category": "film", "subcategory": None, "language": "und"},
            {"item_id": "c", "category": "book", "subcategory": "", "language": "en"},
            {"item_id": "d"},
        ],
    )
    vocabulary = build_vocabulary(dataset)
    assert vocabulary.categories == ("film", "book")
    assert vocabulary.subcategories == ("drama",)
    assert vocabulary.languages == ("en",)
    assert vocabulary.regions == ("NO", "SE", "DE", "DK")
    assert vocabulary.account_types == ("pro",)


def test_events_alone_give_empty_lists(write, noon):
    vocabulary = build_vocabulary(write([{"user_id": "u", "item_id": "a", "timestamp": noon}]))
    assert set(map(len, vocabulary.to_dict().values())) == {0}
