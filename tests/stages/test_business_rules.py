import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trident.rules import DAY, DEFAULT_RULES, Rules
from trident.stages.business_rules import BusinessRules, choose, freshness, within_cap

RULES = Rules.read(DEFAULT_RULES)
NOW = 1_700_000_000


@pytest.mark.parametrize(("days", "factor"), [(0, 1.100), (7, 1.079), (30, 1.037), (90, 1.005), (180, 1.000)])
def test_freshness_is_what_the_formula_says(days, factor):
    assert round(float(freshness(np.array([NOW - days * DAY]), NOW, RULES)[0]), 3) == factor


def test_an_item_of_unknown_age_is_not_boosted_and_one_of_the_future_as_if_new():
    assert freshness(np.array([0, NOW + DAY]), NOW, RULES).tolist() == [1.0, 1.1]


def test_the_cap_counts_from_the_best_down():
    assert within_cap(np.array([1, 1, 2, 1, 1, 2]), 2).tolist() == [True, True, True, False, False, True]


def test_items_over_the_cap_only_fill_up():
    within = np.array([True, False, True, False, True])
    assert choose(within, 2).tolist() == [0, 2]
    assert choose(within, 4).tolist() == [0, 2, 4, 1]
    assert choose(within, 9).tolist() == [0, 2, 4, 1, 3]


class Items:
    def __init__(self, category: list[int], age_days: list[float]) -> None:
        self.category = np.array(category, np.int32)
        self.published_at = NOW - (np.array(age_days) * DAY).astype(np.int64)


def rules_over(category: list[int], age_days: list[float] | None = None) -> BusinessRules:
    items = Items(category, age_days or [1e4] * len(category))
    release = type("Release", (), {"items": items})()
    return BusinessRules(release, RULES, None, None)


def test_a_fresh_item_overtakes_a_slightly_better_old_one():
    stage = rules_over([0, 1], [1000, 0])
    answer = stage.answer(np.array([0, 1]), np.array([0.50, 0.48]), 2, NOW, np.ones(2, bool))
    assert answer.rows.tolist() == [1, 0]
    assert answer.scores.tolist() == pytest.approx([0.528, 0.5])


def test_the_cap_reaches_deeper_into_the_list_before_it_is_relaxed():
    category = [0] * 60 + [1] * 3 + [2] * 3
    stage = rules_over(category)
    answer = stage.answer(np.arange(66), np.linspace(0.9, 0.1, 66), 8, NOW, np.ones(66, bool))
    assert sorted(answer.rows.tolist()) == [0, 1, 2, 60, 61, 62, 63, 64]
    assert answer.counts == (66, 66, 66, 9, 8)


def test_pads_forbidden_and_unscored_candidates_never_come_back():
    stage = rules_over([0, 1, 2, 3])
    rows, allowed = np.array([2, -1, 1, 0]), np.array([True, True, False, True])
    answer = stage.answer(rows, np.array([np.nan, 0.9, 0.8, 0.1]), 5, NOW, allowed)
    assert answer.rows.tolist() == [0]
    assert answer.counts == (2, 2, 1, 1, 1)


def test_a_cap_that_had_to_be_relaxed_shows_in_the_funnel():
    answer = rules_over([0] * 9).answer(np.arange(9), np.linspace(0.9, 0.1, 9), 5, NOW, np.ones(9, bool))
    assert answer.rows.tolist() == [0, 1, 2, 3, 4]
    assert answer.counts == (9, 9, 9, 5, 5)


def test_nothing_left_is_an_empty_answer():
    answer = rules_over([0]).answer(np.full(4, -1), np.full(4, 0.5), 5, NOW, np.ones(4, bool))
    assert answer.rows.size == 0
    assert answer.counts == (0, 0, 0, 0, 0)


@given(st.data())
def test_whatever_comes_the_rules_hold(data):
    n = data.draw(st.integers(1, 80))
    categories = data.draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))
    probability = np.array(data.draw(st.lists(st.floats(0, 1, width=32), min_size=n, max_size=n)))
    allowed = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    limit = data.draw(st.integers(1, 50))
    order = np.array(data.draw(st.permutations(range(n))))
    stage = rules_over(categories)
    answer = stage.answer(np.arange(n), probability, limit, NOW, allowed)
    shuffled = stage.answer(np.arange(n)[order], probability[order], limit, NOW, allowed[order])
    assert answer.rows.tolist() == shuffled.rows.tolist()
    assert len(set(answer.rows.tolist())) == len(answer.rows) == min(limit, allowed.sum())
    assert allowed[answer.rows].all()
    assert (np.diff(answer.scores) <= 0).all()
    counts = np.bincount(np.array(categories)[answer.rows], minlength=6)
    possible = np.minimum(np.bincount(np.array(categories)[allowed], minlength=6), 3).sum()
    assert counts.max(initial=0) <= 3 or possible < limit
