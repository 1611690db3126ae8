import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trident.rules.ranking import best_first, is_among, ranked


def test_candidates_rank_by_score_then_by_probability_then_by_row():
    score, probability = np.array([0.5, 0.7, 0.5, 0.5, 0.0, -0.0]), np.array([0.4, 0.1, 0.4, 0.5, 0, 0])
    assert ranked(score, probability, np.array([8, 9, 7, 6, 5, 4])).tolist() == [1, 3, 2, 0, 5, 4]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 300), st.integers(1, 400))
def test_the_best_candidates_are_those_of_a_sorted_list_without_repeats(seed, n, most):
    rng = np.random.default_rng(seed)
    rows, probability = rng.integers(-1, most, n), rng.choice([0.1, 0.2, 0.3, np.nan, np.inf, -np.inf], n)
    usable = [(-p, row) for row, p in zip(rows.tolist(), probability.tolist(), strict=True) if row >= 0 and abs(p) < 1]
    expected: dict[int, float] = {}
    for score, row in sorted(usable):
        expected.setdefault(row, score)
    best = best_first(rows, probability)
    assert list(zip(rows[best].tolist(), (-probability[best]).tolist(), strict=True)) == list(expected.items())


def test_what_is_among_others_is_found_whatever_their_order():
    rows = np.array([5, -1, 3, 9, 0])
    assert is_among(rows, np.array([9, 3, 3, -1])).tolist() == [False, True, True, True, False]
    assert is_among(rows, np.array([-1])).tolist() == [False, True, False, False, False]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 500), st.integers(1, 2000), st.sampled_from([9, 5000, 10**7]))
def test_what_is_among_others_is_what_numpy_finds(seed, n, m, most):
    rng = np.random.default_rng(seed)
    rows, some = rng.integers(-1, most, n), rng.integers(-1, most, m)
    assert is_among(rows, some).tolist() == np.isin(rows, some).tolist()
