"""Each rule alone, computed by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trident.errors import ReleaseError
from trident.rules import DAY, Boost, Pin, Rules
from trident.rules.boosts import Boosts
from trident.rules.consumed import consumed_since
from trident.rules.diversity import category_caps
from trident.rules.freshness import freshness, is_new
from trident.rules.names import unknown_names
from trident.rules.never import NOBODY, age_limits
from trident.rules.picking import choose, within_cap
from trident.rules.pins import Pins, placed
from trident.rules.relevance import cosines, marginal_order

NOW = 1_700_000_000


@pytest.mark.parametrize(("days", "factor"), [(0, 1.100), (7, 1.079), (30, 1.037), (90, 1.005), (180, 1.000)])
def test_freshness_is_what_the_formula_says(days, factor):
    assert round(float(freshness(np.array([NOW - days * DAY]), NOW, Rules())[0]), 3) == factor


def test_an_item_of_unknown_age_is_not_boosted_and_one_of_the_future_as_if_new():
    assert freshness(np.array([0, NOW + DAY]), NOW, Rules()).tolist() == [1.0, 1.1]


def test_an_item_is_new_until_its_days_are_over():
    published_at = NOW - np.array([-1, 0, 7 * DAY - 1, 7 * DAY, NOW])
    assert is_new(published_at, NOW, Rules()).tolist() == [True, True, True, False, False]


def test_the_cap_counts_from_the_best_down():
    within = within_cap(np.array([1, 1, 2, 1, 1, 2]), np.full(4, 2), 0)
    assert within.tolist() == [True, True, True, False, False, True]


def test_a_category_may_have_a_cap_of_its_own():
    caps = category_caps(Rules(max_in={"films": 1, "nowhere": 9}), ("music", "films"))
    assert caps.tolist() == [3, 1, 3]
    categories = np.array([1, 1, 0, -1, 0, 0, 0, -1])
    within = within_cap(categories, caps, 0)
    assert within.tolist() == [True, False, True, True, True, True, False, True]


def test_what_leads_in_any_case_counts_for_the_cap():
    assert within_cap(np.array([0, 0, 1, 0, 1]), np.full(3, 1), 2).tolist() == [True, True, True, False, False]


def test_items_over_the_cap_only_fill_up():
    within = np.array([True, False, True, False, True])
    assert choose(within, 2).tolist() == [0, 2]
    assert choose(within, 4).tolist() == [0, 2, 4, 1]
    assert choose(within, 9).tolist() == [0, 2, 4, 1, 3]


def order(scores, vectors, strength, picks=9, categories=None, caps=None, taken=()) -> list[int]:
    n = len(scores)
    categories = np.zeros(n, int) if categories is None else np.array(categories)
    caps = np.full(n, 9) if caps is None else np.array(caps)
    taken = np.array(taken, np.int64)
    return marginal_order(np.array(scores), np.array(vectors), categories, caps, taken, picks, strength).tolist()


def test_marginal_relevance_prefers_what_differs():
    vectors = [[1.0, 0], [2.0, 0], [0, 1.0]]
    assert order([1.0, 0.9, 0.5], vectors, 0.0) == [0, 1, 2]
    # after item 0: 0.5 · 0.9 − 0.5 · 1 = −0.05 for its likeness, 0.5 · 0.5 − 0 = 0.25 for the other
    assert order([1.0, 0.9, 0.5], vectors, 0.5) == [0, 2, 1]


def test_marginal_relevance_measures_scores_against_the_best_one():
    vectors = [[1.0, 0], [1.0, 1.0], [0, 1.0]]
    scores = np.array([1.0, 0.95, 0.3])
    assert order(scores, vectors, 0.3) == order(scores / 100, vectors, 0.3) == [0, 1, 2]


def test_an_item_without_a_vector_is_like_no_other_and_an_opposite_one_no_better():
    assert cosines(np.array([[3.0, 4], [0, 0], [-6, -8]], np.float16)).round(3).tolist() == [
        [1, 0, -1], [0, 0, 0], [-1, 0, 1]
    ]  # fmt: skip
    assert order([1.0, 0.5, 0.4], [[1.0, 0], [0, 0], [-1.0, 0]], 0.5) == [0, 1, 2]


def test_what_has_its_place_counts_as_taken():
    vectors = [[1.0, 0], [1.0, 0], [0, 1.0]]
    assert order([1.0, 0.9, 0.8], vectors, 0.5, taken=[1]) == [1, 2, 0]


def test_marginal_relevance_keeps_the_cap_and_leaves_the_rest_in_order():
    vectors = np.eye(4)
    assert order([1.0, 0.9, 0.8, 0.7], vectors, 0.5, picks=2, categories=[0, 0, 1, 1], caps=[1, 1, 1, 1]) == [
        0,
        2,
        1,
        3,
    ]


def greedy(scores, vectors, categories, caps, picks, strength) -> list[int]:
    """The formula, word for word."""
    unit = [v / np.linalg.norm(v) if v.any() else v for v in vectors.astype(np.float32)]
    taken: list[int] = []
    while len(taken) < picks:
        best, most = None, -np.inf
        for i in range(len(scores)):
            if i in taken or sum(categories[t] == categories[i] for t in taken) >= caps[i]:
                continue
            likeness = max([max(0.0, float(unit[i] @ unit[t])) for t in taken], default=0.0)
            value = (1 - strength) * scores[i] / scores.max() - strength * likeness
            if value > most + 1e-9:
                best, most = i, value
        if best is None:
            break
        taken.append(best)
    return taken


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.floats(0, 1), st.integers(1, 3))
def test_marginal_relevance_is_the_formula(seed, n, strength, cap):
    rng = np.random.default_rng(seed)
    scores, categories = np.sort(rng.random(n))[::-1] + 0.01, rng.integers(0, 4, n)
    vectors = rng.normal(size=(n, 8)).astype(np.float16)
    expected = greedy(scores, vectors, categories, np.full(n, cap), 10, strength)
    assert order(scores, vectors, strength, 10, categories, np.full(n, cap))[: len(expected)] == expected


def test_boosts_multiply_until_they_end(items_of):
    items = items_of(["music", "films", "films", ""])
    boosts = Boosts.of(
        Rules(boosted=(Boost(2.0, item="i1", until=NOW), Boost(3.0, category="films"), Boost(9.0, item="gone"))), items
    )
    rows = np.array([3, 2, 1, 0, -1])
    assert boosts.factor(rows, items.category[rows], NOW - 1).tolist() == [1, 3, 6, 1, 1]
    assert boosts.factor(rows, items.category[rows], NOW).tolist() == [1, 3, 3, 1, 1]


def test_boosts_of_what_the_release_does_not_have_are_none(items_of):
    rules = Rules(boosted=(Boost(2.0, item="gone"), Boost(2.0, category="gone")))
    assert Boosts.of(rules, items_of(["music"])) is None


def test_pins_are_found_among_candidates_until_they_end(items_of):
    items = items_of([""] * 4)
    pins = Pins.of(Rules(pinned=(Pin("i2", 4), Pin("i0", 1, NOW), Pin("gone", 2), Pin("i3", 3))), items)
    rows = np.array([2, 1, 0, 3])
    for limit, now, expected in (
        (5, NOW - 1, ([2, 3, 0], [0, 2, 3])),
        (5, NOW, ([3, 0], [2, 3])),
        (3, NOW, ([3], [2])),
    ):
        positions, places = pins.among(rows, limit, now)
        assert (positions.tolist(), places.tolist()) == expected


def test_pins_take_their_places_and_come_last_in_a_short_answer():
    assert placed(np.array([5, 6, 7]), np.array([1, 2]), np.array([0, 2])).tolist() == [1, 5, 2, 6, 7]
    assert placed(np.array([5]), np.array([1, 2]), np.array([4, 9])).tolist() == [5, 1, 2]


def test_what_is_never_shown_has_an_age_limit_that_nobody_reaches(items_of):
    items = items_of(["music", "films", "", "games"])
    limits = age_limits(Rules(never_items=("i2", "gone"), never_categories=("games",)), items)
    assert limits.tolist() == [0, 0, NOBODY, NOBODY]
    assert age_limits(Rules(never_items=("gone",)), items) is items.age_limit


def test_consumed_items_count_for_a_time_or_for_ever():
    assert consumed_since(NOW, 2) == NOW - 2 * DAY + 1
    assert consumed_since(NOW, 0) == 0


def test_names_that_the_release_does_not_have_are_warned_of(items_of):
    rules = Rules(
        max_in={"nowhere": 2, "music": 1},
        never_items=("gone", "i0"),
        pinned=(Pin("lost", 1), Pin("i0", 2)),
        boosted=(Boost(2, item="off"), Boost(2, category="none"), Boost(2, category="music")),
    )
    warnings = unknown_names(rules, items_of(["music"]))
    assert [w.split(", so without effect: ")[1] for w in warnings] == ["nowhere", "none", "off", "lost", "gone"]
    assert warnings[0] == "rules.toml: [diversity] max_in: no category of this release, so without effect: nowhere"


def test_a_forbidden_category_that_is_no_category_is_an_error(items_of):
    expected = r"never_categories: expected categories of the release \(music, films, games, news\), got 'gamse'"
    with pytest.raises(ReleaseError, match=expected):
        age_limits(Rules(never_categories=("games", "gamse")), items_of(["music"]))
