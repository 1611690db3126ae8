from __future__ import annotations

import numpy as np
import pytest

from trident_export.data.truth import LANGUAGE, LOG_LENGTH, TASTE, Truth, sigmoid
from trident_export.event_log import Requests
from trident_export.metrics import gained_ndcg
from trident_export.oracle import ORACLE, SEER, consult, shares
from trident_export.question import Question

AT = 1_000_000


def truth(user: list[float], items: list[list[float]], popularity: list[float] | None = None) -> Truth:
    """One user and some items, between which taste and popularity differ; all old, in one category and his language."""
    n = len(items)
    return Truth(
        user_vectors=np.array([user], np.float32),
        item_vectors=np.array(items, np.float32),
        user_log_price=np.zeros(1, np.float32),
        item_log_price=np.full(n, np.nan, np.float32),
        quality=np.zeros(n, np.float32),
        log_length=np.full(n, LOG_LENGTH, np.float32),
        user_language=np.zeros(1, np.int8),
        item_language=np.zeros(n, np.int8),
        published_at=np.full(n, -(10**9)),
        category=np.zeros(n, int),
        popularity=np.array(popularity or [1] * n, float),
        trend=np.zeros(n),
        favourites=np.zeros((1, 1), int),
        shares=np.ones((1, 1)),
        start=0,
        end=AT,
        planted_reasons=np.array([], "U1"),
        planted_counts=np.array([], np.int64),
    )


def test_gain_by_hand() -> None:
    gains, ideal = np.array([[0.2, 0.0, 0.4], [0.0, 0.0, 0.0]]), np.array([[0.4, 0.2, 0.0], [0.0, 0.0, 0.0]])
    found = gained_ndcg(gains, ideal)
    assert found[0] == pytest.approx((0.2 + 0.4 / 2) / (0.4 + 0.2 / np.log2(3)))
    assert np.isnan(found[1])


def test_the_oracle_by_hand() -> None:
    known = truth([1, 0], [[0, 1], [1, 0], [0.6, 0.8], [0.8, 0.6]])
    one = np.zeros(1, np.int64)
    asked = Question(Requests(one, one + AT, one, one), [np.array([0])], [np.array([], int)])
    allowed = np.array([True, True, True, False])
    lists = {"worst first": np.array([[0, 2, 1]]), "forbidden": np.array([[3, -1, -1]])}
    found = consult(known, (["u1"], ["i1", "i2", "i3", "i4"]), asked, lambda query: allowed, lists)
    assert found.lists[ORACLE][0, :3].tolist() == [1, 2, 0]
    assert (found.lists[ORACLE][0, 3:] == -1).all()
    p = sigmoid(np.float32(-3.6 + LANGUAGE) + TASTE * np.array([0, 1, 0.6], np.float32)).astype(float)
    discount = 1 / np.log2([2, 3, 4])
    expected = (p[[0, 2, 1]] @ discount) / (p[[1, 2, 0]] @ discount)
    assert found.expected["worst first"][0] == pytest.approx(expected, abs=1e-6)
    assert found.expected["forbidden"][0] == 0.0
    assert found.expected[ORACLE][0] == 1.0


def test_the_oracle_of_exposure_puts_what_is_seen_often_before_what_is_liked() -> None:
    known = truth([1, 0], [[0, 1], [1, 0], [0.6, 0.8]], popularity=[1, 0.001, 3])
    one = np.zeros(1, np.int64)
    asked = Question(Requests(one, one + AT, one, one), [np.array([0])], [np.array([], int)])
    found = consult(known, (["u1"], ["i1", "i2", "i3"]), asked, lambda query: np.ones(3, bool), {})
    assert found.lists[ORACLE][0, :3].tolist() == [1, 2, 0]
    assert found.lists[SEER][0, :3].tolist() == [2, 0, 1]


def test_shares_are_ratios_of_means() -> None:
    means = {
        "mine": {"ndcg@20": 0.3, "expected ndcg@20": 0.5},
        ORACLE: {"ndcg@20": 0.2, "expected ndcg@20": 1.0},
        SEER: {"ndcg@20": 0.4, "expected ndcg@20": 0.6},
    }
    found = shares(means, ["mine"])["mine"]
    assert list(found.values()) == pytest.approx([1.5, 0.75, 0.5])
    assert shares({"mine": means["mine"]}, ["mine"]) == {}
