from __future__ import annotations

import calendar

import numpy as np
import pytest

from trident.features.context import context_rows
from trident.features.registry import CONTEXT, place

FRIDAY_23H = calendar.timegm((2024, 3, 1, 23, 59, 59))


def row(timestamp=FRIDAY_23H, device="mobile", region=0, home=0):
    return context_rows(np.array([timestamp]), [device], np.array([region]), np.array([home]))[0]


def value(name, *args, **kwargs):
    return row(*args, **kwargs)[place(f"context_{name}")]


def test_hour_23_is_minus_0_26_and_0_97():
    assert value("hour") == 23
    assert value("hour_sin") == pytest.approx(-0.26, abs=5e-3)
    assert value("hour_cos") == pytest.approx(0.97, abs=5e-3)


def test_a_friday_evening():
    assert [value(n) for n in ("weekday", "weekend", "weekday_type", "part_of_day")] == [4, 0, 1, 3]
    assert [value(n) for n in ("night", "morning", "afternoon", "evening")] == [0, 0, 0, 1]


def test_one_second_later_it_is_saturday_night():
    assert [value(n, FRIDAY_23H + 1) for n in ("hour", "weekday", "weekend", "weekday_type")] == [0, 5, 1, 2]
    assert value("night", FRIDAY_23H + 1) == 1


def test_devices_are_a_code_and_one_hot():
    assert [value(n, device="tablet") for n in ("device", "mobile", "desktop", "tablet", "tv")] == [2, 0, 0, 1, 0]


@pytest.mark.parametrize("device", ["", "toaster"])
def test_an_unknown_device_has_no_code_and_no_one_hot(device):
    assert np.isnan(value("device", device=device))
    assert [value(n, device=device) for n in ("mobile", "desktop", "tablet", "tv")] == [0, 0, 0, 0]


def test_device_names_and_codes_agree():
    times, homes = np.full(3, FRIDAY_23H), np.zeros(3, int)
    named = context_rows(times, ["tv", "", "mobile"], homes, homes)
    coded = context_rows(times, np.array([3, -1, 0]), homes, homes)
    np.testing.assert_array_equal(named, coded)


@pytest.mark.parametrize(("region", "home", "away"), [(1, 1, 0), (1, 2, 1), (-1, 2, np.nan), (1, -1, np.nan)])
def test_away_needs_two_known_regions(region, home, away):
    np.testing.assert_equal(value("away", region=region, home=home), np.float32(away))


def test_rows_are_float32_with_every_column_set():
    rows = context_rows(np.arange(0, 10**6, 10**5), ["tv"] * 10, np.zeros(10, int), np.ones(10, int))
    assert rows.dtype == np.float32
    assert rows.shape == (10, len(CONTEXT))
    assert np.isfinite(rows).all()
