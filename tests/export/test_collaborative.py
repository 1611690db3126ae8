from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from trident_export import collaborative
from trident_export.collaborative import GRIDS, best_of, clicks_before, combinations, fit
from trident_export.contest import Stand, baselines
from trident_export.event_log import Log
from trident_export.question import question

ITEMS, USERS = 60, 80


def two_tastes(seed: int = 0) -> Log:
    """Even users click even items, odd users odd ones."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(USERS), 12)
    item = rng.integers(0, ITEMS // 2, len(user)) * 2 + user % 2
    return Log.of(user, item, rng.integers(0, 1000, len(user)), np.full(len(user), "click"))


@pytest.mark.parametrize("method", list(GRIDS))
def test_every_method_finds_two_tastes(method: str) -> None:
    clicks = clicks_before(two_tastes(), 1000, USERS, ITEMS)
    users, nothing = np.arange(USERS), [np.empty(0, int)] * USERS
    lists = best_of(fit(method, combinations(method)[0], clicks), clicks, users, nothing, np.arange(ITEMS), 10)
    assert (lists % 2 == users[:, None] % 2).mean() > 0.9


@pytest.mark.parametrize("method", list(GRIDS))
def test_the_same_seed_gives_the_same_scores(method: str) -> None:
    clicks = clicks_before(two_tastes(), 1000, USERS, ITEMS)
    settings, users = combinations(method)[-1], np.arange(USERS)
    assert (fit(method, settings, clicks, 5)(users) == fit(method, settings, clicks, 5)(users)).all()


def test_clicks_count_once_and_before_the_cut_alone() -> None:
    log = Log.of(
        *(np.array(c) for c in ([0, 0, 0, 1], [1, 1, 2, 2], [5, 6, 20, 7], ["click", "click", "click", "view"]))
    )
    assert clicks_before(log, 20, 2, 3).toarray().tolist() == [[0, 1, 0], [0, 0, 0]]
    assert clicks_before(log, 21, 2, 3).toarray().tolist() == [[0, 1, 1], [0, 0, 0]]


def test_of_too_many_clicks_the_newest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collaborative, "MOST_CLICKS", 1)
    log = Log.of(*(np.array(c) for c in ([0, 1], [1, 2], [9, 5], ["click", "click"])))
    assert clicks_before(log, 20, 2, 3).toarray().tolist() == [[0, 1, 0], [0, 0, 0]]


def test_ties_and_strangers_follow_the_fallback() -> None:
    clicks = sparse.csr_matrix(np.array([[1, 0, 0, 0], [0, 0, 0, 0]], np.float32))
    scores = np.array([[0, 5, 0, 0], [0, 9, 9, 9]], np.float32)
    left_out, fallback = [np.array([0]), np.array([3])], np.array([3, 0, 2, 1])
    lists = best_of(lambda users: scores[users], clicks, np.array([0, 1]), left_out, fallback, 4)
    assert lists.tolist() == [[1, 3, 2, -1], [0, 2, 1, -1]]
    assert best_of(lambda users: scores[users], clicks, np.array([0]), left_out, fallback, 2).tolist() == [[1, 3]]


def test_the_settings_that_win_on_the_validation_window_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trident_export.contest.GRIDS", {"BPR": {}})
    tried = [{"factors": 8, "iterations": 1, "learning_rate": 1e-6}, {"factors": 8, "iterations": 100}]
    monkeypatch.setattr("trident_export.contest.combinations", lambda method: tried)
    log, rng = two_tastes(), np.random.default_rng(0)
    validation = Stand(log, 600, question(log, 600, 800, 99, rng), USERS, ITEMS, 20)
    test = Stand(log, 800, question(log, 800, 1000, 99, rng), USERS, ITEMS)
    found = baselines(validation, test)
    assert list(found) == ["most popular", "recent popular", "BPR"]
    assert found["BPR"].settings == tried[1]
    assert test.ndcg(found["BPR"].lists) > test.ndcg(found["most popular"].lists)
    for query, touched in enumerate(test.asked.touched):
        assert not np.isin(found["BPR"].lists[query], touched).any()
