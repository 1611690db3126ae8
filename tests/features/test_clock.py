from __future__ import annotations

import numpy as np
import pytest

from trident.features.clock import advance, recency_bin
from trident.features.registry import DAY, GROUPS, place

CLOCKS = {group: [i for i, f in enumerate(GROUPS[group]) if f.clock] for group in ("user", "item")}


def test_two_hours_after_the_last_event_is_0_083_days_and_hot():
    row = np.full((1, 40), np.nan, np.float32)
    row[0, place("user_recency_days")] = 0
    later = advance(row, "user", 7200)[0]
    assert later[place("user_recency_days")] == pytest.approx(0.083, abs=5e-4)
    assert later[place("user_recency_bin")] == 0


@pytest.mark.parametrize(
    ("days", "bin"), [(0, 0), (0.999, 0), (1, 1), (6.99, 1), (7, 2), (29.9, 2), (30, 3), (4000, 3)]
)
def test_recency_bins_are_hot_warm_cool_cold(days, bin):
    assert recency_bin(np.array([days], np.float32)).tolist() == [bin]


def test_no_last_event_has_no_bin():
    assert np.isnan(recency_bin(np.array([np.nan], np.float32))).all()


@pytest.mark.parametrize("group", ["user", "item"])
def test_only_clock_columns_move(group):
    rows = np.random.default_rng(0).random((5, 40), np.float32) * 5
    if group == "user":
        rows[:, place("user_recency_bin")] = recency_bin(rows[:, place("user_recency_days")])
    later = advance(rows, group, 3 * DAY)
    moved = set(np.flatnonzero((later != rows).any(axis=0)).tolist())
    assert moved - {place("user_recency_bin")} == set(CLOCKS[group])
    np.testing.assert_allclose(later[:, CLOCKS[group]], rows[:, CLOCKS[group]] + 3, atol=1e-5)


def test_every_row_has_its_own_time_and_a_row_of_the_future_stays():
    rows = np.zeros((3, 40), np.float32)
    later = advance(rows, "item", np.array([0, DAY, -DAY]))
    assert later[:, place("item_age_days")].tolist() == [0, 1, 0]


def test_whole_seconds_are_exact_below_97_days():
    rng = np.random.default_rng(1)
    start, passed = rng.integers(0, 97 * DAY, 1000), rng.integers(0, 400 * DAY, 1000)
    rows = np.zeros((1000, 40), np.float32)
    rows[:, place("item_age_days")] = start / DAY
    later = advance(rows, "item", passed)[:, place("item_age_days")]
    np.testing.assert_array_equal(later, ((start + passed) / DAY).astype(np.float32))


def test_the_given_rows_are_left_alone():
    rows = np.zeros((1, 40), np.float32)
    advance(rows, "user", DAY)
    assert not rows.any()
