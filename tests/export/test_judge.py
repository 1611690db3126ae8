from __future__ import annotations

import numpy as np
import pytest

from trident_export.event_log import Requests
from trident_export.judge import CatalogueFacts, differences, judged, judged_slice, slices
from trident_export.question import Question


def asked(relevant: list[list[int]], touched: list[list[int]]) -> Question:
    nothing = np.zeros(len(relevant), np.int64)
    requests = Requests(np.arange(len(relevant)), nothing, nothing, nothing)
    return Question(requests, [np.array(r, int) for r in relevant], [np.array(t, int) for t in touched])


FACTS = CatalogueFacts(np.array([4, 3, 2, 1, 0, 0, 0, 0, 0, 0]), np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1]))
ASKED = asked([[1, 2], [3], [4, 5], [6]], [[], [7], [7, 8], [7, 8, 9]])
GOOD = np.array([[1, 2], [3, 9], [4, 5], [0, 6]])
BAD = np.array([[8, 7], [9, 8], [0, 1], [6, 5]])


def test_metrics_of_two_methods_by_hand() -> None:
    verdict = judged({"good": GOOD, "bad": BAD}, ASKED, FACTS)
    assert verdict.means["good"]["ndcg@20"] == pytest.approx((3 + 1 / np.log2(3)) / 4)
    assert verdict.means["bad"]["ndcg@20"] == 0.25
    assert verdict.means["good"]["mrr"] == pytest.approx(3.5 / 4)
    assert verdict.means["good"]["coverage@20"] == 0.8
    assert verdict.means["bad"]["diversity@20"] == 0.0
    assert "recall@20" not in verdict.means["good"]  # the lists are not that deep
    low, high = verdict.intervals["bad"]["ndcg@20"]
    assert 0.0 <= low < 0.25 < high <= 1.0


def test_recall_goes_as_deep_as_the_lists() -> None:
    deep = np.tile(np.arange(50), (4, 1))
    found = judged({"deep": deep}, asked([[30], [3], [3], [3]], [[]] * 4), CatalogueFacts(np.zeros(50), np.zeros(50)))
    assert (found.means["deep"]["recall@20"], found.means["deep"]["recall@50"]) == (0.75, 1.0)


def test_slices_by_hand() -> None:
    found = slices(ASKED, FACTS)
    rows = {name: part.rows.tolist() for name, part in found.items()}
    assert rows == {
        "new users": [0], "known users": [1, 2, 3], "light users": [1, 2], "heavy users": [3], "new items": [2, 3],
    }  # fmt: skip
    assert [r.tolist() for r in found["new items"].relevant] == [[4, 5], [6]]


def test_a_slice_counts_its_own_right_answers() -> None:
    found = judged_slice({"good": GOOD, "bad": BAD}, slices(ASKED, FACTS)["new items"])
    assert found.means["good"]["mrr"] == 0.75
    assert found.means["bad"]["mrr"] == 0.5
    assert judged_slice({"good": GOOD}, slices(asked([[0]], [[]]), FACTS)["known users"]).means == {}


def test_differences_are_from_the_best_baseline() -> None:
    lists = {"worse": np.full((4, 2), 9), "better": BAD, "own": GOOD}
    (found,) = differences(lists, ["worse", "better"], ASKED, metrics=["ndcg@20"])
    assert (found.method, found.baseline) == ("own", "better")
    assert found.difference == pytest.approx((3 + 1 / np.log2(3)) / 4 - 0.25)
    assert found.low <= found.difference <= found.high
