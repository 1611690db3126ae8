from __future__ import annotations

import numpy as np
import pytest

from trident.errors import InvalidInput
from trident_export.event_log import Log, Requests, first_requests
from trident_export.samples import SampleConfig, sample_requests, shelves

HOUR = 3600


def ask(*pairs: tuple[int, int]) -> Requests:
    """Requests as (user, time)."""
    user, time = (np.array(column) for column in zip(*pairs, strict=True))
    return Requests(user, time, np.full(len(time), -1), np.full(len(time), -1))


def log(*events: tuple[int, int, int, str]) -> Log:
    """Events as (user, item, time, kind)."""
    user, item, time, kind = (np.array(column) for column in zip(*events, strict=True))
    return Log.of(user, item, time, kind)


# user 0: sees 1 and 2 and clicks 2, two hours later sees 3 and clicks nothing; user 1: buys 4 unseen.
SMALL = log(
    (0, 3, 2 * HOUR + 110, "view"), (1, 4, 300, "purchase"), (0, 1, 100, "view"), (0, 2, 110, "view"),
    (0, 2, 111, "click"), (0, 9, 50, "like"),
)  # fmt: skip


def test_events_are_sorted_by_user_then_time() -> None:
    assert SMALL.user.tolist() == [0, 0, 0, 0, 0, 1]
    assert SMALL.time.tolist() == [50, 100, 110, 111, 7310, 300]
    assert SMALL.positive.tolist() == [False, False, False, True, False, True]


def test_the_order_of_the_input_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    columns = [rng.integers(0, 5, 200) for _ in range(3)] + [rng.choice(["view", "click", "add"], 200)]
    order = rng.permutation(200)
    a, b = Log.of(*columns), Log.of(*[c[order] for c in columns])
    for name in ("user", "item", "time", "positive", "viewed"):
        assert (getattr(a, name) == getattr(b, name)).all()


def test_touched_is_strictly_before() -> None:
    touched = SMALL.touched(ask((0, 110), (0, 111), (1, 300), (7, 300)))
    assert [t.tolist() for t in touched] == [[1, 9], [1, 2, 9], [], []]


def test_a_request_has_the_place_of_its_event() -> None:
    columns = (np.array([0, 0]), np.array([5, 6]), np.array([20, 10]), np.array(["click", "view"]))
    events = Log.of(*columns, np.array([1, 2]), np.array([7, -1]))
    first = first_requests(events, 0, 99)
    assert (first.time[0], first.device[0], first.region[0]) == (10, 2, -1)


def test_requests_are_moments_with_a_click_soon_after() -> None:
    config = SampleConfig(per_session=9)
    requests = sample_requests(SMALL, 0, 10**6, config, np.random.default_rng(0))
    assert list(zip(requests.user.tolist(), requests.time.tolist(), strict=True)) == [
        (0, 50), (0, 100), (0, 110), (0, 111), (1, 300),
    ]  # fmt: skip


def test_the_begin_of_a_session_is_drawn_first() -> None:
    requests = sample_requests(SMALL, 0, 10**6, SampleConfig(requests=2), np.random.default_rng(0))
    assert list(zip(requests.user.tolist(), requests.time.tolist(), strict=True)) == [(0, 50), (1, 300)]


def test_no_session_is_asked_more_often_than_allowed() -> None:
    busy = log(*[(user, i, 10_000 * session + i, "click") for user in (0, 1) for session in (1, 2) for i in range(30)])
    requests = sample_requests(busy, 0, 10**6, SampleConfig(per_session=4), np.random.default_rng(0))
    sessions, counts = np.unique(np.stack([requests.user, requests.time // 10_000]), axis=1, return_counts=True)
    assert sessions.T.tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert counts.tolist() == [4, 4, 4, 4]
    assert (requests.time % 10_000 == 0).sum() == 4


def test_no_request_and_no_label_comes_from_outside_the_window() -> None:
    rng = np.random.default_rng(0)
    assert len(sample_requests(SMALL, 100, 111, SampleConfig(), rng)) == 0  # the click at 111 lies after the window
    shelf = shelves(SMALL, ask((0, 100)), np.array([[1, 2, -1]]), 111, SampleConfig(), rng)
    assert shelf.rows[shelf.chosen].tolist() == [1, 2]
    assert not shelf.label.any()


def test_rows_of_a_request_by_hand() -> None:
    retrieved = np.array([[9, 2, 5, 3, 1, -1], [4, 1, 8, -1, -1, -1]])
    config = SampleConfig(logged=2)
    shelf = shelves(SMALL, ask((0, 100), (1, 300)), retrieved, 10**6, config, np.random.default_rng(0))
    assert shelf.rows.tolist() == retrieved.tolist()
    # 9 was touched before; 2 is clicked, 1 is seen and passed; 3 is seen only in the next session
    assert np.flatnonzero(shelf.chosen[0]).tolist() == [1, 2, 3, 4]
    assert np.flatnonzero(shelf.label[0]).tolist() == [1]
    assert np.flatnonzero(shelf.logged[0]).tolist() == [1, 4]
    assert shelf.chosen[1].tolist() == [True, True, True, False, False, False]
    assert shelf.label[1].tolist() == shelf.logged[1].tolist() == [1, 0, 0, 0, 0, 0]


def test_what_was_not_retrieved_is_no_row_even_when_it_is_clicked() -> None:
    shelf = shelves(SMALL, ask((0, 100)), np.array([[5, 3, 1]]), 10**6, SampleConfig(), np.random.default_rng(0))
    assert 2 not in shelf.rows[shelf.chosen]
    assert not shelf.label.any()


def test_what_was_touched_before_is_no_row_even_when_it_is_clicked_again() -> None:
    again = log((0, 1, 10, "view"), (0, 1, 20, "click"), (0, 2, 21, "click"))
    shelf = shelves(again, ask((0, 20)), np.array([[1, 2]]), 99, SampleConfig(), np.random.default_rng(0))
    assert shelf.rows[shelf.chosen].tolist() == [2]


def test_rows_are_capped_and_clicked_ones_go_first() -> None:
    many = log(*[(0, i, 10 + i, "click" if i < 3 else "view") for i in range(50)])
    config = SampleConfig(logged=5, retrieved=4)
    shelf = shelves(many, ask((0, 0)), np.arange(150)[None], 10**6, config, np.random.default_rng(0))
    assert (shelf.label.sum(), shelf.logged.sum(), shelf.chosen.sum()) == (3, 5, 9)
    assert len(set(shelf.rows[shelf.chosen].tolist())) == 9


def test_first_requests_are_one_per_user() -> None:
    requests = first_requests(SMALL, 105, 10**6)
    assert requests.user.tolist() == [0, 1]
    assert requests.time.tolist() == [110, 300]


@pytest.mark.parametrize("wrong", [{"requests": 0}, {"logged": 1}, {"retrieved": -1}, {"session_seconds": 0}])
def test_impossible_sizes_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(InvalidInput, match="samples"):
        SampleConfig(**wrong)
