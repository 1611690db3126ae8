from __future__ import annotations

import numpy as np

from trident_export.features import histories
from trident_export.features.histories import last_items


def event(time, item, kind="click", user="u"):
    return {"user_id": user, "item_id": item, "timestamp": time, "event_type": kind}


ROWS = {"a": 0, "b": 1, "c": 2}


def test_newest_first_without_repeats_views_or_the_same_second(write, noon):
    log = [
        event(noon, "a"),
        event(noon + 1, "b", "purchase"),
        event(noon + 2, "a", "like"),
        event(noon + 3, "c", "view"),
    ]
    dataset = write([*log, event(noon + 9, "c", "add")])
    times = noon + np.array([0, 1, 2, 3, 9, 10])
    rows = histories(dataset, ["u"] * 6, times, ROWS, length=3)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[-1, -1, -1], [0, -1, -1], [1, 0, -1], [0, 1, -1], [0, 1, -1], [2, 0, 1]]


def test_items_without_a_row_and_unknown_users_leave_pads(write, noon):
    dataset = write([event(noon, "a"), event(noon + 1, "unlisted")])
    rows = histories(dataset, ["u", "nobody"], np.full(2, noon + 5), ROWS, length=2)
    assert rows.tolist() == [[0, -1], [-1, -1]]


def test_a_log_without_taste_is_all_pads(write, noon):
    rows = histories(write([event(noon, "a", "view")]), ["u"], np.array([noon + 5]), ROWS)
    assert rows.tolist() == [[-1] * 50]


def test_equals_a_loop_over_random_events():
    rng = np.random.default_rng(0)
    user, second, item = rng.integers(5, size=800), rng.integers(500, size=800), rng.integers(30, size=800)
    asked, times = rng.integers(6, size=200), rng.integers(-5, 510, size=200)
    rows, seconds = last_items(user, second, item, asked, times, 10)
    for row, dates, u, t in zip(rows, seconds, asked, times, strict=True):
        mine = sorted(((s, i) for s, i in zip(second[user == u], item[user == u], strict=True) if s < t), reverse=True)
        expected = list(dict.fromkeys(int(i) for _, i in mine))[:10]
        latest = [max(int(s) for s, i in mine if i == wanted) for wanted in expected]
        assert row.tolist() == expected + [-1] * (10 - len(expected))
        assert dates.tolist() == latest + [0] * (10 - len(expected))
