from __future__ import annotations

import numpy as np
import pytest

from trident_export.baselines import most_popular, popular_by_region, recently_popular, without_touched
from trident_export.evaluate import by_score, evaluate_probabilities
from trident_export.event_log import Log
from trident_export.question import question
from trident_export.ranker import RankerRows

DAY = 86_400


def log(*events: tuple[int, int, int, str]) -> Log:
    """Events as (user, item, time, kind)."""
    user, item, time, kind = (np.array(column) for column in zip(*events, strict=True))
    return Log.of(user, item, time, kind)


# Cut at 100: user 0 knew item 1; user 1 is new; user 2 clicks only what he knew; user 3 is not there any more.
EVENTS = log(
    (0, 1, 10, "view"), (0, 2, 100, "view"), (0, 2, 101, "click"), (0, 1, 102, "click"), (0, 5, 103, "purchase"),
    (1, 3, 120, "click"), (2, 4, 20, "click"), (2, 4, 130, "click"), (3, 4, 30, "click"), (3, 1, 31, "click"),
)  # fmt: skip


def test_a_question_holds_what_is_clicked_later_and_new() -> None:
    asked = question(EVENTS, 100, 200, 99, np.random.default_rng(0))
    assert asked.requests.user.tolist() == [0, 1]
    assert asked.requests.time.tolist() == [100, 120]
    assert [r.tolist() for r in asked.relevant] == [[2, 5], [3]]
    assert [t.tolist() for t in asked.touched] == [[1], []]


def test_a_question_is_drawn_when_there_are_too_many_users() -> None:
    assert len(question(EVENTS, 100, 200, 1, np.random.default_rng(0))) == 1


def test_most_popular_counts_clicks_before_the_cut() -> None:
    assert most_popular(EVENTS, 100, 6).tolist() == [4, 1, 0, 2, 3, 5]
    assert most_popular(EVENTS, 10, 6).tolist() == [0, 1, 2, 3, 4, 5]


def test_each_region_has_its_popular_items_and_falls_back_on_those_of_all() -> None:
    clicks = [(0, 5, 60)] * 3 + [(1, 4, 50)] * 2 + [(2, 3, 40), (3, 2, 30)]
    user, item, time = (np.array(column) for column in zip(*clicks, strict=True))
    region = np.array([-1, 0, 0, 1, 1, 1, 2])  # of the first user, whose home is region 1, one place is unknown
    events = Log.of(user, item, time, np.full(len(user), "click"), region=region)
    home = np.array([1, 0, 0, 0])
    lists = popular_by_region(events, 100, 6, home, regions=4, most=5)
    assert lists.shape == (5, 5)
    assert lists[0].tolist() == recently_popular(events, 100, 6)[:5].tolist() == [5, 4, 3, 2, 0]
    assert lists[4].tolist() == lists[0].tolist()  # nobody clicked there
    assert all(len(set(row)) == 5 for row in lists.tolist())
    assert popular_by_region(events, 0, 6, home, 1, 3).tolist() == [[0, 1, 2], [0, 1, 2]]


def test_many_clicks_of_a_region_outweigh_those_of_all() -> None:
    counts = [30_000, 10_000, 9_900]
    item, region = np.repeat([1, 2, 9], counts), np.repeat([0, 1, 1], counts)
    same = np.zeros(len(item), np.int64)
    events = Log.of(same, item, same + 90, np.full(len(item), "click"), region=region)
    lists = popular_by_region(events, 100, 10, np.array([0]), regions=3, most=2)
    assert lists.tolist() == [[1, 2], [1, 2], [2, 9], [1, 2]]


def test_recently_popular_forgets() -> None:
    clicks = log((0, 0, 0, "click"), (1, 0, 0, "click"), (2, 1, 14 * DAY, "click"), (3, 2, 3, "view"))
    assert most_popular(clicks, 14 * DAY + 1, 3).tolist() == [0, 1, 2]
    assert recently_popular(clicks, 14 * DAY + 1, 3).tolist() == [1, 0, 2]


def test_lists_leave_out_what_was_touched() -> None:
    lists = without_touched(np.array([3, 1, 2]), [np.array([1]), np.array([], int), np.array([1, 2, 3])], 2)
    assert lists.tolist() == [[3, 2], [3, 1], [-1, -1]]


def test_by_score_sorts_and_keeps_padding_last() -> None:
    rows = np.array([[7, 8, 9, -1]])
    assert by_score(rows, np.array([[0.1, 0.9, 0.1, np.nan]])).tolist() == [[8, 7, 9, -1]]


def rows_of(labels: list[int], request: list[int]) -> RankerRows:
    n = len(labels)
    return RankerRows(np.zeros((n, 120), np.float32), np.array(labels, int), np.array(request, int), np.ones(n, bool))


def test_probabilities_are_judged_beside_the_mean() -> None:
    metrics = evaluate_probabilities(rows_of([1, 0, 0, 0], [0, 0, 1, 1]), np.array([0.9, 0.1, 0.1, 0.1]))
    assert metrics["auc"] == 1.0
    assert metrics["log_loss"] < metrics["log_loss_of_mean"]
    assert metrics["click_share"] == 0.25
    assert metrics["calibration_error"] == pytest.approx(0.1)
    low, high = metrics["intervals"]["log_loss"]
    assert low <= metrics["log_loss"] <= high


def test_without_impressions_there_is_only_their_number() -> None:
    assert evaluate_probabilities(rows_of([], []), np.array([])) == {"rows": 0}
