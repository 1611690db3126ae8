import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trident.rules import Boost, Pin, Rules
from trident.rules.answer import Answer, RuleSet
from trident.rules.freshness import is_new

NOW = 1_700_000_000


def everything(rows: np.ndarray) -> np.ndarray:
    """Allows any item."""
    return np.ones(len(rows), bool)


def all_but(*forbidden: int):
    """Allows what is not among some rows."""
    return lambda rows: ~np.isin(rows, forbidden)


@pytest.fixture
def answer(items_of):
    """Answers for candidates 0, 1, … of these probabilities, all allowed."""

    def asked(categories, probability, limit, rules=None, age_days=None, vectors=None) -> Answer:
        items = items_of(categories, age_days, vectors)
        n = len(categories)
        return RuleSet.over(rules or Rules(), items).answer(
            np.arange(n), np.array(probability, np.float32), limit, NOW, everything
        )

    return asked


def test_a_fresh_item_overtakes_a_slightly_better_old_one(answer):
    made = answer(["music", "films"], [0.50, 0.48], 2, age_days=[1000, 0])
    assert made.rows.tolist() == [1, 0]
    assert made.scores.tolist() == pytest.approx([0.528, 0.5])


def test_the_cap_reaches_deeper_into_the_list_before_it_is_relaxed(answer):
    categories = ["music"] * 60 + ["films"] * 3 + ["games"] * 3
    made = answer(categories, np.linspace(0.9, 0.1, 66), 8)
    assert sorted(made.rows.tolist()) == [0, 1, 2, 60, 61, 62, 63, 64]
    assert made.counts == (66, 66, 66, 9, 8)


def test_a_cap_that_had_to_be_relaxed_shows_in_the_funnel(answer):
    made = answer(["music"] * 9, np.linspace(0.9, 0.1, 9), 5)
    assert made.rows.tolist() == [0, 1, 2, 3, 4]
    assert made.counts == (9, 9, 9, 5, 5)


def test_pads_forbidden_unscored_and_repeated_candidates_never_come_back(items_of):
    rules = RuleSet.over(Rules(), items_of(["music", "films", "games", "news"]))
    rows = np.array([2, -1, 1, 0, 0])
    made = rules.answer(rows, np.array([np.nan, 0.9, 0.8, 0.1, 0.2]), 5, NOW, all_but(1))
    assert made.rows.tolist() == [0]
    assert made.scores.tolist() == pytest.approx([0.2])
    assert made.counts == (2, 2, 1, 1, 1)


def test_only_the_best_are_looked_at_while_they_fill_the_answer(items_of):
    rules, looked_at = RuleSet.over(Rules(max_per_category=9), items_of(["music"] * 60)), []

    def allowed(rows: np.ndarray) -> np.ndarray:
        looked_at.extend(rows.tolist())
        return everything(rows)

    rules.answer(np.arange(60), np.linspace(0.9, 0.1, 60), 9, NOW, allowed)
    assert looked_at == list(range(50))
    rules.answer(np.arange(60), np.linspace(0.9, 0.1, 60), 10, NOW, allowed)
    assert sorted(looked_at[50:]) == list(range(60))


def test_nothing_left_is_an_empty_answer(items_of):
    rules = RuleSet.over(Rules(pinned=(Pin("i0", 1),), diversity=0.5, new_share=1.0), items_of(["music"]))
    made = rules.answer(np.full(4, -1), np.full(4, 0.5), 5, NOW, everything)
    assert made.rows.size == 0
    assert made.counts == (0, 0, 0, 0, 0)


def test_a_boosted_item_reaches_the_pool(answer):
    categories = ["music", "films", "games", "news"] * 20
    probability = np.linspace(0.9, 0.5, 80)
    assert 79 not in answer(categories, probability, 4).rows
    assert answer(categories, probability, 4, Rules(boosted=(Boost(2, item="i79"),))).rows.tolist() == [79, 0, 1, 2]


def test_pinned_items_keep_their_places_and_count_for_the_cap(answer):
    rules = Rules(pinned=(Pin("i5", 2), Pin("i4", 4)), max_per_category=2)
    made = answer(["music", "music", "music", "films", "music", "films"], [0.9, 0.8, 0.7, 0.6, 0.2, 0.1], 4, rules)
    assert made.rows.tolist() == [0, 5, 3, 4]


def test_the_cap_does_not_keep_pinned_items_out(answer):
    rules = Rules(pinned=(Pin("i2", 1), Pin("i1", 2)), max_per_category=1)
    made = answer(["films", "music", "music", "games"], [0.9, 0.8, 0.7, 0.6], 3, rules)
    assert made.rows.tolist() == [2, 1, 0]


def test_a_pinned_item_that_may_not_be_shown_is_not(items_of):
    rules = RuleSet.over(Rules(pinned=(Pin("i1", 1),)), items_of(["music", "films"]))
    made = rules.answer(np.array([0, 1]), np.array([0.1, 0.9]), 2, NOW, all_but(1))
    assert made.rows.tolist() == [0]


def test_new_items_have_their_share_as_far_as_there_are_any(answer):
    categories, probability = ["music", "films", "games", "news"], [0.9, 0.8, 0.7, 0.6]
    ages = [1000, 1000, 2, 1]
    made = answer(categories, probability, 2, Rules(new_share=0.5, strength=0), age_days=ages)
    assert made.rows.tolist() == [0, 2]
    assert answer(categories, probability, 3, Rules(new_share=1, strength=0), age_days=ages).rows.tolist() == [0, 2, 3]


def test_new_items_come_from_deeper_before_the_share_is_relaxed(answer):
    ages = [1000.0] * 59 + [1.0]
    made = answer([""] * 60, np.linspace(0.9, 0.1, 60), 2, Rules(new_share=0.5), age_days=ages)
    assert made.rows.tolist() == [0, 59]
    assert made.counts == (60, 60, 60, 3, 2)


def test_the_share_of_new_items_is_relaxed_before_the_cap(answer):
    rules = Rules(new_share=1, max_per_category=1)
    assert answer(["music", "music", "films"], [0.9, 0.8, 0.1], 2, rules, age_days=[1, 1, 1000]).rows.tolist() == [0, 2]


def test_difference_decides_what_is_shown_and_in_which_order(answer):
    vectors = np.zeros((3, 128))
    vectors[[0, 1], 0] = vectors[2, 1] = 1
    made = answer(["music", "films", "games"], [0.9, 0.8, 0.5], 2, Rules(diversity=0.5), vectors=vectors)
    assert made.rows.tolist() == [0, 2]


@st.composite
def rules(draw) -> Rules:
    items = [f"i{i}" for i in draw(st.lists(st.integers(0, 160), max_size=8, unique=True))]
    positions = draw(st.lists(st.integers(1, 12), min_size=len(items), max_size=len(items), unique=True))
    ends = st.sampled_from([NOW + 1, NOW + 1, NOW + 1, NOW])
    boosted = draw(st.lists(st.integers(0, 160), max_size=3, unique=True))
    named = draw(st.lists(st.sampled_from(["music", "films", "nowhere"]), max_size=2, unique=True))
    factors = st.floats(0.01, 100)
    return Rules(
        max_per_category=draw(st.sampled_from([1, 1, 2, 3, 6])),
        max_in=draw(st.dictionaries(st.sampled_from(["music", "games"]), st.integers(1, 9))),
        pool=draw(st.integers(1, 60)),
        pool_per_item=draw(st.floats(1, 3)),
        diversity=draw(st.sampled_from([0.0, 0.0, 0.2, 0.7, 1.0])),
        new_share=draw(st.sampled_from([0.0, 0.0, 0.2, 0.5, 1.0])),
        pinned=tuple(Pin(i, p, draw(ends)) for i, p in zip(items, positions, strict=True)),
        boosted=(
            *(Boost(draw(factors), item=f"i{i}", until=draw(ends)) for i in boosted),
            *(Boost(draw(factors), category=name, until=draw(ends)) for name in named),
        ),
    )


@settings(max_examples=250, deadline=None)
@given(
    rules(),
    st.integers(1, 50),
    st.sampled_from([1, 12, 60, 150, 150]),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.1, 0.5, 1.0, 1.0]),
)
def test_whatever_the_rules_say_they_hold(many_items, rules, limit, n, seed, share):
    rng = np.random.default_rng(seed)
    rows, probability = rng.permutation(150)[:n], rng.choice(np.linspace(0, 1, 40), n)
    probability[rng.random(n) < 0.05] = np.nan
    allowed = rng.random(n) < share
    ruleset, shuffle = RuleSet.over(rules, many_items), rng.permutation(n)
    shown = all_but(*rows[~allowed].tolist())
    made = ruleset.answer(rows, probability, limit, NOW, shown)
    shuffled = ruleset.answer(rows[shuffle], probability[shuffle], limit, NOW, shown)
    assert made.rows.tolist() == shuffled.rows.tolist()  # stable under input order
    assert (made.scores.tolist(), made.counts) == (shuffled.scores.tolist(), shuffled.counts)

    usable = rows[allowed & np.isfinite(probability)]
    assert set(made.rows.tolist()) <= set(usable.tolist())  # nothing forbidden
    assert len(set(made.rows.tolist())) == len(made.rows) == min(limit, len(usable))  # no repeat, as many as there are
    assert list(made.counts) == sorted(made.counts, reverse=True)
    pinned = check_pins(rules, many_items, made.rows, usable, limit)
    if not rules.diversity:
        assert (np.diff(made.scores[~np.isin(made.rows, pinned)]) <= 0).all()
    check_caps(ruleset, made.rows, usable, pinned, limit)
    check_new(ruleset, made.rows, usable, pinned, limit)


def check_pins(rules, items, shown, usable, limit) -> np.ndarray:
    """Every pin that holds has its place, or is among the last of a short answer."""
    holding = [
        (pin, int(items.rows([pin.item])[0])) for pin in rules.pinned if pin.until > NOW and pin.position <= limit
    ]
    holding = [(pin, row) for pin, row in holding if row in usable]
    others = len(shown) - len(holding)
    for before, (pin, row) in enumerate(sorted(holding, key=lambda held: held[0].position)):
        assert shown.tolist().index(row) == min(pin.position - 1, others + before)
    return np.array([row for _, row in holding], int)


def check_caps(ruleset, shown, usable, pinned, limit) -> None:
    """No category has more than its cap and its pins, unless the answer could not be filled otherwise."""
    caps = np.roll(ruleset.caps, 1)  # by code + 1
    count = lambda rows: np.bincount(ruleset.items.category[rows] + 1, minlength=len(caps))  # noqa: E731
    most = np.maximum(caps, count(pinned))
    assert (count(shown) <= most).all() or np.minimum(count(usable), most).sum() < limit


def check_new(ruleset, shown, usable, pinned, limit) -> None:
    """Where new items are missing, every unused one is of a category that new and pinned items fill."""
    new = usable[is_new(ruleset.items.published_at[usable], NOW, ruleset.rules)]
    kept = shown[np.isin(shown, new) | np.isin(shown, pinned)]
    if np.isin(shown, new).sum() >= ruleset.rules.new_needed(limit) or len(kept) == limit:
        return
    category = ruleset.items.category
    for row in np.setdiff1d(new, shown):
        assert (category[kept] == category[row]).sum() >= ruleset.caps[category[row]]
