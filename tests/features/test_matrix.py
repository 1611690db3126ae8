from __future__ import annotations

import math

import numpy as np
import pytest

from trident.features.matrix import feature_matrix
from trident.features.registry import ALL, CONTEXT, ITEM, USER, index

TYPICAL = {0: 600, 1: 1800, 2: 2400, 3: 5400}
NAN = math.nan


def divide(a, b):
    return a / b if b != 0 else NAN


def known(*values):
    return not any(math.isnan(v) for v in values)


def naive_cross(user, item, context, similarity, rank, best, most_views):
    """The cross features of one candidate by their formulas, in Python floats."""
    u = dict(zip((f.name.removeprefix("user_") for f in USER), map(float, user), strict=True))
    i = dict(zip((f.name.removeprefix("item_") for f in ITEM), map(float, item), strict=True))
    c = dict(zip((f.name.removeprefix("context_") for f in CONTEXT), map(float, context), strict=True))
    place = next((n for n in (1, 2, 3) if i["category"] == u[f"favourite_category_{n}"]), 0)
    taste = known(i["category"], u["favourite_category_1"])
    price_known = known(i["price"], u["price_min"], u["price_max"])
    match_known = known(i["subcategory"], u["favourite_subcategory"])
    return [
        similarity,
        rank,
        similarity - best,
        place if taste else NAN,
        (u[f"favourite_share_{place}"] if place else 0) if taste else NAN,
        float(i["subcategory"] == u["favourite_subcategory"]) if match_known else NAN,
        divide(i["price"], u["price_mean"]),
        float(u["price_min"] <= i["price"] <= u["price_max"]) if price_known else NAN,
        divide(i["price"] - u["price_min"], u["price_max"] - u["price_min"]),
        divide(i["duration_seconds"], u["watch_seconds"]),
        i["duration_seconds"] / TYPICAL[int(c["device"])] if known(c["device"]) else NAN,
        c["device"] * 2 + c["weekend"],
        u["account_type"] * 4 + c["part_of_day"],
        i["category"] * 4 + c["device"],
        i["category"] * 6 + u["age_group"],
        math.log(1 + i["views_7d"]) * math.exp(-max(i["age_days"], 0) / 30) if known(i["age_days"]) else NAN,
        u["ctr"] * i["ctr"],
        abs(u["age"] - i["viewer_age"]),
        c["hour_sin"] * i["hour_sin"] + c["hour_cos"] * i["hour_cos"],
        divide(i["views"], most_views),
    ]


def random_case(requests, candidates, seed=0, missing=0.1):
    rng = np.random.default_rng(seed)
    codes = {"category": 4, "subcategory": 3, "favourite_category_1": 2, "device": 4, "account_type": 3, "age_group": 6}

    def rows(features, *shape):
        values = (rng.random((*shape, len(features))) * 20).astype(np.float32)
        for n, feature in enumerate(features):
            size = codes.get(feature.name.split("_", 1)[1])
            if feature.vocabulary or size:
                values[..., n] = rng.integers(0, size or 4, shape)
        values[rng.random(values.shape) < missing] = np.nan
        return values

    user, items, context = rows(USER, requests), rows(ITEM, requests, candidates), rows(CONTEXT, requests)
    distinct = np.argsort(rng.random((requests, 6)), axis=1)[:, :3]
    user[:, [f.name.startswith("user_favourite_category") for f in USER]] = distinct
    user[::3, [f.name == "user_favourite_category_3" for f in USER]] = np.nan
    return user, items, context, rng.standard_normal((requests, candidates)).astype(np.float32)


@pytest.mark.parametrize("missing", [0.0, 0.1, 0.6])
def test_every_column_equals_a_loop_over_the_candidates(missing):
    user, items, context, similarity = random_case(6, 40, missing=missing)
    matrix = feature_matrix(user, items, context, similarity).reshape(6, 40, 120)
    for b in range(6):
        best = float(np.nanmax(similarity[b]))
        views = items[b, :, index("item_views") - 40]
        most = float(np.nanmax(views)) if np.isfinite(views).any() else NAN
        for k in range(40):
            cross = naive_cross(user[b], items[b, k], context[b], float(similarity[b, k]), k, best, most)
            expected = np.concatenate([user[b], items[b, k], context[b], np.array(cross, np.float32)])
            np.testing.assert_allclose(matrix[b, k], expected, rtol=2e-6, atol=2e-6)


def test_the_matrix_is_contiguous_float32_request_by_request():
    matrix = feature_matrix(*random_case(3, 7))
    assert matrix.shape == (21, len(ALL))
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert matrix[:, index("cross_retrieval_rank")].tolist() == [*range(7)] * 3


def test_pads_are_nan_and_do_not_move_the_others():
    user, items, context, similarity = random_case(2, 9)
    alone = feature_matrix(user, items, context, similarity)
    wider = np.concatenate([items, np.full((2, 4, 40), 1e9, np.float32)], axis=1)
    padded = np.concatenate([similarity, np.full((2, 4), np.nan, np.float32)], axis=1)
    matrix = feature_matrix(user, wider, context, padded).reshape(2, 13, 120)
    assert np.isnan(matrix[:, 9:]).all()
    np.testing.assert_array_equal(matrix[:, :9].reshape(18, 120), alone)


def test_a_request_without_candidates_is_all_nan():
    user, items, context, similarity = random_case(1, 5)
    assert np.isnan(feature_matrix(user, items * np.nan, context, similarity * np.nan)).all()


@pytest.mark.parametrize("device", [-1, 4, 1e30, -1e30, math.inf, -math.inf, NAN])
def test_a_device_that_there_is_not_has_no_typical_length(device):
    user, items, context, similarity = random_case(1, 5, missing=0)
    context[:, index("context_device") - 80] = device
    matrix = feature_matrix(user, items, context, similarity)
    assert np.isnan(matrix[:, index("cross_duration_device")]).all()


def test_a_request_gets_the_same_rows_alone_and_among_others():
    user, items, context, similarity = random_case(4, 11)
    together = feature_matrix(user, items, context, similarity).reshape(4, 11, 120)
    for b in range(4):
        one = slice(b, b + 1)
        np.testing.assert_array_equal(together[b], feature_matrix(user[one], items[one], context[one], similarity[one]))
