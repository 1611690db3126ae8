import numpy as np
import pytest

from trident.live.columns import Changes, LiveColumns, Visibility


def columns(capacity: int) -> LiveColumns:
    return LiveColumns(Visibility.empty(10, 1), capacity)


def stock(rows: list[int], values: list[bool]) -> Changes:
    changed = Visibility.empty(len(rows), 1)
    changed.in_stock[:] = values
    return Changes(np.array(rows, np.int64), changed)


def test_the_log_says_what_a_row_was_before_its_first_change_since():
    live = columns(100)
    live.apply(stock([3, 4], [True, True]))
    live.apply(stock([3], [False]))
    live.apply(stock([3, 5], [True, True]))
    assert live.now.in_stock.tolist() == [False] * 3 + [True] * 3 + [False] * 4
    assert (live.start, live.end) == (0, 5)
    since = live.since(2)
    assert since.rows.tolist() == [3, 5]
    assert since.values.in_stock.tolist() == [True, False]


def test_what_is_so_already_is_no_change():
    live = columns(100)
    live.apply(stock([1, 2], [False, True]))
    live.apply(stock([1, 2], [False, True]))
    assert live.end == 1
    assert live.since(0).rows.tolist() == [2]


def test_nothing_to_apply_is_no_change():
    live = columns(4)
    live.apply(stock([], []))
    assert (live.start, live.end) == (0, 0)


@pytest.mark.parametrize("many", [4, 5, 9])
def test_a_full_log_forgets_the_oldest(many):
    live = columns(4)
    live.apply(stock([9], [True]))
    live.apply(stock(list(range(many)), [True] * many))
    assert live.end == many + 1
    assert live.start == live.end - 4
    assert live.since(live.start).rows.tolist() == list(range(many - 4, many))
    assert not live.since(live.start).values.in_stock.any()


def test_the_columns_of_the_release_stay_as_they_are(release):
    live = LiveColumns(Visibility.over(release.items))
    row = int(np.flatnonzero(release.items.in_stock)[0])
    changed = Visibility.of(release.items).take(np.array([row]))
    changed.in_stock[:] = False
    changed.blocked[:, 1] = 1
    live.apply(Changes(np.array([row]), changed))
    assert not live.now.in_stock[row]
    assert release.items.in_stock[row]
    again = Visibility.over(release.items)
    assert again.in_stock[row]
    assert np.array_equal(again.blocked, release.items.blocked)
