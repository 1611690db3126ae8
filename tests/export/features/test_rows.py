from __future__ import annotations

import numpy as np
import pytest

from trident.errors import InvalidInput
from trident.features.clock import advance
from trident.features.registry import ITEM, USER, place
from trident_export.features import build_vocabulary, default_user_row, item_rows, rows, user_rows

DAY = 86_400


COMPUTE = {"user": user_rows, "item": item_rows}


def values(dataset, group, entity, time, *names):
    row = COMPUTE[group](dataset, [entity], np.array([time]), build_vocabulary(dataset))[0]
    return [pytest.approx(row[place(f"{group}_{n}")].item(), nan_ok=True, rel=1e-6) for n in names]


def over_time(dataset, group, entity, times, name):
    rows = COMPUTE[group](dataset, [entity] * len(times), times, build_vocabulary(dataset))
    return rows[:, place(f"{group}_{name}")].tolist()


def event(time, kind="view", user="u", item="a", **more):
    return {"user_id": user, "item_id": item, "timestamp": time, "event_type": kind, **more}


def test_80_clicks_of_1000_views_are_a_ctr_of_0_08(write, noon):
    log = [event(noon + n) for n in range(1000)] + [event(noon + n, "click") for n in range(80)]
    dataset = write(log)
    assert values(dataset, "user", "u", noon + DAY, "ctr", "views", "clicks") == [0.08, 1000, 80]
    assert values(dataset, "item", "a", noon + DAY, "ctr", "views", "viewers") == [0.08, 1000, 1]


def test_two_hours_ago_is_0_083_days_and_hot(write, noon):
    recency, hot = values(write([event(noon)]), "user", "u", noon + 7200, "recency_days", "recency_bin")
    assert recency == 7200 / DAY
    assert hot == 0


def test_900_of_1500_views_in_the_last_week_are_trending_0_6(write, noon):
    log = [event(noon - 30 * DAY + n) for n in range(600)] + [event(noon - DAY + n) for n in range(900)]
    assert values(write(log), "item", "a", noon, "trending", "views_7d", "views") == [0.6, 900, 1500]


def test_a_small_log_by_hand(write, noon):
    log = [
        event(noon - 8 * DAY, "view", item="a", device="mobile", duration_seconds=30.0),
        event(noon - 8 * DAY + 60, "click", item="a", device="mobile"),
        event(noon - 600, "purchase", item="b", device="tv"),
        event(noon - 60, "like", item="c"),
    ]
    goods = [
        {"item_id": "a", "category": "film", "price": 10.0, "duration_seconds": 120.0},
        {"item_id": "b", "category": "book", "price": 5.0},
        {"item_id": "c", "category": "book"},
    ]
    dataset = write(log, [{"user_id": "u", "age": 30, "member_since": noon - 20 * DAY}], goods)
    user = {
        **{"favourite_share_1": 2 / 3, "favourite_share_2": 1 / 3, "interactions": 4, "interactions_7d": 2},
        **{"price_mean": 7.5, "price_min": 5, "price_max": 10, "lifetime_value": 5, "purchase_days": 600 / DAY},
        **{"active_days": 2, "mobile_share": 2 / 3, "tv_share": 1 / 3, "session_minutes": 10 / 2, "age_group": 2},
        **{"tenure_days": 20, "favourite_category_1": build_vocabulary(dataset).code("categories", "book")},
    }
    assert values(dataset, "user", "u", noon, *user) == [*user.values()]
    item = {"completion": 0.25, "viewer_age": 30, "views_previous_7d": 1, "growth": -1}
    assert values(dataset, "item", "a", noon, *item) == [*item.values()]


@pytest.mark.parametrize("group", ["user", "item"])
def test_an_event_of_the_same_second_is_not_seen(group, write, noon):
    dataset = write([event(noon), event(noon + 1.5)])
    entity, count = {"user": ("u", "interactions"), "item": ("a", "views")}[group]
    assert over_time(dataset, group, entity, noon + np.arange(4), count) == [0, 1, 2, 2]


@pytest.mark.parametrize(("group", "name"), [("user", "interactions_1d"), ("item", "views_1d")])
def test_a_window_holds_its_first_second_and_no_older_one(group, name, write, noon):
    dataset = write([event(noon)])
    entity = {"user": "u", "item": "a"}[group]
    assert over_time(dataset, group, entity, noon + DAY + np.arange(-1, 2), name) == [1, 1, 0]


@pytest.mark.parametrize("group", ["user", "item"])
def test_a_future_event_leaves_a_row_unchanged(group, write, random_log, noon):
    log, people, goods = random_log(7)
    compute, entities = {"user": (user_rows, 6), "item": (item_rows, 12)}[group]
    t = noon + 900_000
    ids, times = [f"{group[0]}{n}" for n in range(entities)], np.full(entities, t)
    before = write(log, people, goods)
    vocabulary = build_vocabulary(before)
    later = [event(t + s, kind, f"u{u}", "i3") for s in (0, 5) for kind in ("view", "purchase") for u in range(6)]
    after = write([*log, *later], people, goods)
    np.testing.assert_array_equal(compute(before, ids, times, vocabulary), compute(after, ids, times, vocabulary))


@pytest.mark.parametrize(("group", "entities"), [("user", 6), ("item", 12)])
def test_a_row_moved_on_by_the_clock_equals_the_row_of_that_time(group, entities, write, random_log, noon):
    dataset = write(*random_log(3))
    vocabulary = build_vocabulary(dataset)
    ids = [f"{group[0]}{n}" for n in range(entities)]
    start = noon + 1_800_000 + 15 * DAY  # no event since, and none in any window
    passed = np.array([0, 1, 3_601, 9 * DAY + 5])
    rows = COMPUTE[group](dataset, ids * 4, np.repeat(start + passed, entities), vocabulary)
    moved = advance(np.tile(rows[:entities], (4, 1)), group, np.repeat(passed, entities))
    clocks = np.array([f.clock for f in {"user": USER, "item": ITEM}[group]])
    np.testing.assert_array_equal(moved[:, ~clocks], rows[:, ~clocks])
    np.testing.assert_allclose(moved[:, clocks], rows[:, clocks], rtol=1.2e-7)  # one bit, beyond 97 days
    young = clocks & (np.nan_to_num(rows[:entities]) < 97).all(axis=0)
    assert young.any()
    np.testing.assert_array_equal(moved[:, young], rows[:, young])


def test_unknown_users_and_items_get_the_defaults(write, noon):
    dataset = write([event(noon)])
    vocabulary = build_vocabulary(dataset)
    user = user_rows(dataset, ["nobody"], np.array([noon + 9]), vocabulary)[0]
    np.testing.assert_array_equal(user, default_user_row(vocabulary))
    item = item_rows(dataset, ["nothing"], np.array([noon + 9]), vocabulary)[0]
    np.testing.assert_array_equal(item, np.array([f.default for f in ITEM], np.float32))


def test_repeated_requests_in_any_order_get_their_own_rows(write, random_log, noon):
    log, people, goods = random_log(1)
    dataset = write(log, people, goods)
    vocabulary = build_vocabulary(dataset)
    ids, times = ["u3", "u1", "u3", "u1"], noon + np.array([900_000, 500_000, 400_000, 500_000])
    rows = user_rows(dataset, ids, times, vocabulary)
    np.testing.assert_array_equal(rows[1], rows[3])
    assert rows[:, place("user_interactions")].tolist() == [
        sum(e["user_id"] == i and int(e["timestamp"]) < t for e in log) for i, t in zip(ids, times, strict=True)
    ]


@pytest.mark.parametrize("compute", [user_rows, item_rows])
def test_work_in_parts_gives_the_same_rows(compute, write, random_log, noon, monkeypatch):
    dataset = write(*random_log(5))
    vocabulary = build_vocabulary(dataset)
    ids, times = [f"{'u' if compute is user_rows else 'i'}{n % 8}" for n in range(60)], noon + np.arange(60) * 20_000
    whole = compute(dataset, ids, times, vocabulary)
    monkeypatch.setattr(rows, "LARGEST_PART", 250)
    np.testing.assert_array_equal(whole, compute(dataset, ids, times, vocabulary))


def test_no_requests_are_no_rows(write, noon):
    dataset = write([event(noon)])
    assert user_rows(dataset, [], np.empty(0, np.int64), build_vocabulary(dataset)).shape == (0, 40)


def test_ids_and_timestamps_must_pair(write, noon):
    dataset = write([event(noon)])
    with pytest.raises(InvalidInput, match="as many timestamps as ids, 2, got 1"):
        user_rows(dataset, ["u", "v"], np.array([noon]), build_vocabulary(dataset))
