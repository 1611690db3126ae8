from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trident_export.metrics import (
    auc,
    calibration,
    calibration_error,
    coverage,
    diversity_at,
    hits,
    log_loss,
    ndcg_at,
    novelty_at,
    recall_at,
    reciprocal_rank,
)

RANKED = np.array([[5, 3, 9, -1], [1, 2, 3, 4]])
RELEVANT = [np.array([3, 7]), np.array([4])]


def test_hits_mark_the_relevant_and_never_the_padding() -> None:
    assert hits(RANKED, RELEVANT).tolist() == [[False, True, False, False], [False, False, False, True]]
    assert not hits(RANKED[:1], [np.array([-1])]).any()


def test_recall_is_the_share_found() -> None:
    assert recall_at(RANKED, RELEVANT, 2).tolist() == [0.5, 0.0]
    assert recall_at(RANKED, RELEVANT, 4).tolist() == [0.5, 1.0]
    assert recall_at(RANKED, RELEVANT, 99).tolist() == [0.5, 1.0]


def test_ndcg_by_hand() -> None:
    second, fourth = 1 / math.log2(3), 1 / math.log2(5)
    ideal = 1 + second
    assert ndcg_at(RANKED, RELEVANT, 4) == pytest.approx([second / ideal, fourth])
    assert ndcg_at(RANKED, RELEVANT, 3) == pytest.approx([second / ideal, 0.0])


def test_a_perfect_list_has_ndcg_one_even_when_more_is_relevant_than_fits() -> None:
    assert ndcg_at(np.array([[0, 1]]), [np.arange(9)], 2) == pytest.approx([1.0])


def test_auc_by_hand() -> None:
    labels = np.array([1, 0, 1, 0])
    assert auc(labels, np.array([0.9, 0.1, 0.8, 0.2])) == 1.0
    assert auc(labels, np.array([0.1, 0.9, 0.2, 0.8])) == 0.0
    assert auc(labels, np.zeros(4)) == 0.5
    assert math.isnan(auc(np.ones(3), np.zeros(3)))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_equals_counting_pairs(rows: list[tuple[bool, int]]) -> None:
    labels, scores = np.array([r[0] for r in rows]), np.array([r[1] for r in rows], float)
    pairs = [(p > n) + (p == n) / 2 for p in scores[labels] for n in scores[~labels]]
    expected = np.mean(pairs) if pairs else math.nan
    assert auc(labels, scores) == pytest.approx(expected, nan_ok=True)


def test_log_loss_by_hand_and_finite_when_sure_and_wrong() -> None:
    assert log_loss(np.array([1, 0]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))
    assert math.isfinite(log_loss(np.array([1]), np.array([0.0])))


def test_reciprocal_rank_is_that_of_the_first_hit() -> None:
    assert reciprocal_rank(RANKED, RELEVANT).tolist() == [0.5, 0.25]
    assert reciprocal_rank(RANKED, [np.array([77]), np.array([1, 4])]).tolist() == [0.0, 1.0]


def test_coverage_counts_distinct_items_of_the_first_k() -> None:
    assert coverage(np.array([[0, 1, -1], [1, 2, 3]]), 10, 2) == 0.3
    assert coverage(np.full((2, 3), -1), 10, 3) == 0.0


def test_novelty_is_the_surprise_in_bits() -> None:
    clicks = np.array([5, 1, 0, 0])  # (c + 1) / (6 + 4): 0.6, 0.2, 0.1, 0.1
    found = novelty_at(np.array([[1, 2, 0], [0, -1, -1], [-1, -1, -1]]), clicks, 2)
    assert found[:2] == pytest.approx([-(math.log2(0.2) + math.log2(0.1)) / 2, -math.log2(0.6)])
    assert math.isnan(found[2])


def test_diversity_is_the_share_of_pairs_of_different_category() -> None:
    category = np.array([0, 0, 1, 2])
    found = diversity_at(np.array([[0, 1, 2], [0, 2, 3], [0, 1, -1], [3, -1, -1]]), category, 3)
    assert found[:3].tolist() == [pytest.approx(2 / 3), 1.0, 0.0]
    assert math.isnan(found[3])


def test_calibration_by_hand() -> None:
    labels, p = np.array([1, 0, 1, 1]), np.array([0.9, 0.1, 0.3, 0.7])
    assert calibration(labels, p, 2) == pytest.approx(np.array([[0.2, 0.5, 2], [0.8, 1.0, 2]]))
    assert calibration_error(labels, p, 2) == pytest.approx(0.25)
    assert len(calibration(labels, p, 99)) == 4
    assert math.isnan(calibration_error(np.array([]), np.array([])))
