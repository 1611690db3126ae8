"""Every column of user and item rows against a plain loop over the events."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from trident.features.registry import ITEM, USER
from trident_export.features import build_vocabulary, item_rows, user_rows

DAY = 86_400
NAN = math.nan
TASTE = ("click", "like", "add", "purchase")
TYPES = ("view", "click", "like", "add", "share", "purchase")
DEVICES = ("mobile", "desktop", "tablet", "tv")


def ratio(part, whole):
    return part / whole if whole else NAN


def mean(values):
    return ratio(math.fsum(values), len(values))


def known(value):
    return NAN if value is None else value


def code(values, value):
    return values.index(value) if value in values else NAN


def hours(events):
    angles = [2 * math.pi * (int(e["timestamp"]) % DAY // 3600) / 24 for e in events]
    return mean([math.sin(a) for a in angles]), mean([math.cos(a) for a in angles])


def weekend(event):
    return (int(event["timestamp"]) // DAY + 3) % 7 >= 5


def share(events, device):
    return ratio(sum(e["device"] == device for e in events), sum(e["device"] is not None for e in events))


def favourites(events, items, field, values):
    counts = Counter(code(values, items[e["item_id"]][field]) for e in events if e["event_type"] in TASTE)
    counts = {c: n for c, n in counts.items() if not math.isnan(c)}
    ranked = sorted(counts, key=lambda c: (-counts[c], c))
    shares = [counts[c] / sum(counts.values()) for c in ranked]
    return ranked + [NAN] * 3, shares + [NAN] * 3, len(ranked)


def sessions(events):
    times = [int(e["timestamp"]) for e in events]
    gaps = [b - a for a, b in itertools.pairwise(times)]
    return ratio(sum(g for g in gaps if g <= 1800) / 60, sum(g > 1800 for g in gaps) + 1) if times else NAN


def naive_user(user, t, log, users, items, vocabulary):
    events = sorted((e for e in log if e["user_id"] == user and int(e["timestamp"]) < t), key=lambda e: e["timestamp"])
    count = Counter(e["event_type"] for e in events)
    who = users.get(user, {})
    age = known(who.get("age"))
    top, shares, different = favourites(events, items, "category", vocabulary.categories)
    sub, _, _ = favourites(events, items, "subcategory", vocabulary.subcategories)
    prices = [items[e["item_id"]]["price"] for e in events if e["event_type"] in TASTE]
    prices = [p for p in prices if p is not None]
    orders = [items[e["item_id"]]["price"] for e in events if e["event_type"] == "purchase"]
    spent = [p for p in orders if p is not None]
    bought = [int(e["timestamp"]) for e in events if e["event_type"] == "purchase"]
    recency = (t - int(events[-1]["timestamp"])) / DAY if events else NAN
    since = known(who.get("member_since"))
    on_weekend = sum(map(weekend, events))
    return {
        "age": age,
        "age_group": sum(age >= b for b in (18, 25, 35, 45, 55)) if age == age else NAN,
        "region": code(vocabulary.regions, who.get("region")),
        "account_type": code(vocabulary.account_types, who.get("account_type")),
        "tenure_days": (t - since) / DAY,
        "interactions": len(events),
        "views": count["view"],
        "clicks": count["click"],
        "purchases": count["purchase"],
        "active_days": len({int(e["timestamp"]) // DAY for e in events}),
        "interactions_1d": sum(int(e["timestamp"]) >= t - DAY for e in events),
        "interactions_7d": sum(int(e["timestamp"]) >= t - 7 * DAY for e in events),
        "ctr": ratio(count["click"], count["view"]),
        "conversion": ratio(count["purchase"], count["click"]),
        "session_minutes": sessions(events),
        "watch_seconds": mean([e["duration_seconds"] for e in events if e["duration_seconds"] is not None]),
        "recency_days": recency,
        "recency_bin": sum(recency >= b for b in (1, 7, 30)) if events else NAN,
        **{f"favourite_category_{n}": top[n - 1] for n in (1, 2, 3)},
        **{f"favourite_share_{n}": shares[n - 1] for n in (1, 2, 3)},
        "favourite_subcategory": sub[0],
        "categories_seen": different,
        "price_mean": mean(prices),
        "price_min": min(prices, default=NAN),
        "price_max": max(prices, default=NAN),
        "lifetime_value": sum(spent),
        "order_value": mean(spent),
        "purchase_days": (t - bought[-1]) / DAY if bought else NAN,
        "hour_sin": hours(events)[0],
        "hour_cos": hours(events)[1],
        "weekend_share": ratio(on_weekend, len(events)),
        "weekend_uplift": ratio(on_weekend / 2, (len(events) - on_weekend) / 5),
        **{f"{device}_share": share(events, device) for device in DEVICES},
    }


def naive_item(item, t, log, users, items, vocabulary):
    events = sorted((e for e in log if e["item_id"] == item and int(e["timestamp"]) < t), key=lambda e: e["timestamp"])
    what = items.get(item, {})

    def within(kind, days, until=0):
        seconds = (int(e["timestamp"]) for e in events if e["event_type"] == kind)
        return sum(t - days * DAY <= s < t - until * DAY for s in seconds)

    count = Counter(e["event_type"] for e in events)
    views, price, length = count["view"], what.get("price"), what.get("duration_seconds")
    watched = [e["duration_seconds"] for e in events if e["duration_seconds"] is not None]
    viewers = {e["user_id"] for e in events if e["event_type"] == "view"}
    ages = [users[e["user_id"]]["age"] for e in events]
    approvals = len(events) - views
    return {
        "category": code(vocabulary.categories, what.get("category")),
        "subcategory": code(vocabulary.subcategories, what.get("subcategory")),
        "language": code(vocabulary.languages, what.get("language")),
        "duration_seconds": known(length),
        "price": known(price),
        "tags": len(what.get("tags", ())),
        "age_limit": what.get("age_limit", 0),
        "age_days": (t - known(what.get("published_at"))) / DAY,
        "recency_days": (t - int(events[-1]["timestamp"])) / DAY if events else NAN,
        **{f"{k}s": count[k] for k in TYPES},
        "viewers": len(viewers),
        "revenue": count["purchase"] * (price or 0),
        "ctr": ratio(count["click"], views),
        "conversion": ratio(count["purchase"], count["click"]),
        "like_rate": ratio(count["like"], views),
        "share_rate": ratio(count["share"], views),
        "views_per_viewer": ratio(views, len(viewers)),
        "completion": mean([min(w / length, 1) for w in watched]) if length else NAN,
        "watch_seconds": mean(watched),
        "rating": 1 + 4 * (approvals + 1) / (views + approvals + 2),
        "views_1d": within("view", 1),
        "views_7d": within("view", 7),
        "views_previous_7d": within("view", 14, 7),
        "trending": ratio(within("view", 7), views),
        "growth": ratio(within("view", 7), within("view", 14, 7)) - 1,
        "clicks_1d": within("click", 1),
        "clicks_7d": within("click", 7),
        "ctr_7d": ratio(within("click", 7), within("view", 7)),
        "purchases_7d": within("purchase", 7),
        "revenue_7d": within("purchase", 7) * (price or 0),
        "viewer_age": mean([a for a in ages if a is not None]),
        "weekend_share": ratio(sum(map(weekend, events)), len(events)),
        "mobile_share": share(events, "mobile"),
        "hour_sin": hours(events)[0],
        "hour_cos": hours(events)[1],
    }


CASES = {"user": (user_rows, naive_user, USER, 6), "item": (item_rows, naive_item, ITEM, 12)}
LOOSE = {"hour_sin": 1e-6, "hour_cos": 1e-6, "completion": 1e-6}  # kept in millionths; all others to the last bit


@pytest.mark.parametrize("group", CASES)
@pytest.mark.parametrize("seed", range(2))
def test_every_column_equals_a_loop_over_the_events(group, seed, write, random_log, noon):
    log, people, catalogue = random_log(seed)
    dataset = write(log, people, catalogue)
    vocabulary = build_vocabulary(dataset)
    rows_of, naive, features, entities = CASES[group]
    rng = np.random.default_rng(seed)
    ids = [f"{group[0]}{n}" for n in rng.integers(entities + 3, size=150)]
    times = np.where(
        rng.random(150) < 0.5, [int(log[n]["timestamp"]) for n in range(150)], noon + rng.integers(2_000_000, size=150)
    )
    rows = rows_of(dataset, ids, times, vocabulary)
    tables = {u["user_id"]: u for u in people}, {i["item_id"]: i for i in catalogue}
    expected = [naive(i, t, log, *tables, vocabulary) for i, t in zip(ids, times.tolist(), strict=True)]
    for n, feature in enumerate(features):
        name = feature.name.removeprefix(f"{group}_")
        column = np.array([row[name] for row in expected], np.float32)
        np.testing.assert_allclose(rows[:, n], column, rtol=2e-7, atol=LOOSE.get(name, 0), err_msg=name)
