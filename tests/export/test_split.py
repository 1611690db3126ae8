from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trident.errors import InvalidInput
from trident_export.split import SplitConfig, Windows, time_windows


def test_ten_seconds_are_cut_at_eight_and_nine() -> None:
    windows = time_windows(np.arange(10), SplitConfig(train=0.8, validation=0.1, towers=0.5))
    assert windows == Windows(start=0, ranker=4, validation=8, test=9, end=10)


def test_order_of_the_events_does_not_matter() -> None:
    times = np.arange(1000) ** 2
    assert time_windows(times[::-1]) == time_windows(times)


@given(st.lists(st.integers(0, 10_000), min_size=200, max_size=400, unique=True))
def test_no_earlier_window_holds_a_later_event(times: list[int]) -> None:
    stamps = np.array(times)
    w = time_windows(stamps)
    assert w.start == stamps.min()
    assert w.end == stamps.max() + 1
    train, test = stamps[stamps < w.validation], stamps[stamps >= w.test]
    assert train.max() < test.min()
    assert abs(len(test) / len(stamps) - 0.1) < 0.01
    assert abs(len(train) / len(stamps) - 0.8) < 0.01


def test_events_of_one_second_stay_together() -> None:
    stamps = np.repeat(np.arange(20), 7)
    w = time_windows(stamps)
    assert (stamps >= w.test).sum() % 7 == 0


def test_too_few_distinct_times_are_refused() -> None:
    with pytest.raises(InvalidInput, match="more distinct times"):
        time_windows(np.zeros(100, np.int64))
    with pytest.raises(InvalidInput, match="got none"):
        time_windows(np.zeros(0, np.int64))


@pytest.mark.parametrize("wrong", [{"train": 0.0}, {"validation": 1.0}, {"train": 0.9, "validation": 0.1}])
def test_impossible_shares_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InvalidInput, match="split"):
        SplitConfig(**wrong)


def test_manifest_windows_touch_each_other() -> None:
    table = Windows(0, 10, 20, 30, 40).as_dict()
    assert list(table) == ["towers", "ranker", "validation", "test"]
    assert table["validation"] == {"from": "1970-01-01T00:00:20+00:00", "to": "1970-01-01T00:00:30+00:00"}
    assert table["ranker"]["to"] == table["validation"]["from"]
