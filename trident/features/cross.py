"""The 20 cross features: what user, item and context say together.

The formulas are about one candidate, in float32, and compiled: a request has 500 of them. Training computes them with
the same functions. numba keeps compiled functions on disk until their own file changes: so all are here, and where a
number lies in its row is an argument (`AT`), not a constant out of the registry.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from trident.features.registry import place

NAN = np.float32(np.nan)
ONE, ZERO = np.float32(1), np.float32(0)
TYPICAL_SECONDS = np.array([600.0, 1_800.0, 2_400.0, 5_400.0], np.float32)
"""Length that suits each of DEVICES."""
FRESH = np.float32(-1 / 30)  # per day
PARTS_OF_DAY, DEVICES, AGE_GROUPS = np.float32(4), np.float32(4), np.float32(6)
"""How many codes there are."""


class Places(NamedTuple):
    """The column of each feature that a formula reads or writes, in the rows of its own group."""

    user_age: int
    user_age_group: int
    user_account_type: int
    user_ctr: int
    user_watch_seconds: int
    user_favourite_category_1: int
    user_favourite_category_2: int
    user_favourite_category_3: int
    user_favourite_share_1: int
    user_favourite_share_2: int
    user_favourite_share_3: int
    user_favourite_subcategory: int
    user_price_mean: int
    user_price_min: int
    user_price_max: int
    item_category: int
    item_subcategory: int
    item_duration_seconds: int
    item_price: int
    item_age_days: int
    item_views: int
    item_views_7d: int
    item_ctr: int
    item_viewer_age: int
    item_hour_sin: int
    item_hour_cos: int
    context_hour_sin: int
    context_hour_cos: int
    context_weekend: int
    context_part_of_day: int
    context_device: int
    cross_similarity: int
    cross_retrieval_rank: int
    cross_similarity_gap: int
    cross_favourite_rank: int
    cross_taste_share: int
    cross_subcategory_match: int
    cross_price_ratio: int
    cross_price_in_range: int
    cross_price_place: int
    cross_duration_ratio: int
    cross_duration_device: int
    cross_device_weekend: int
    cross_account_part_of_day: int
    cross_category_device: int
    cross_category_age_group: int
    cross_fresh_popularity: int
    cross_ctr_product: int
    cross_viewer_age_gap: int
    cross_hour_match: int
    cross_popularity_share: int


AT = Places(*(place(name) for name in Places._fields))

compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@compiled
def write_rows(out, user, items, context, similarity, at):
    """Fill `out` (B, K, 120) as `trident.features.matrix` says."""
    requests, candidates = similarity.shape
    first_item = user.shape[1]
    first_context = first_item + items.shape[2]
    first_cross = first_context + context.shape[1]
    for b in range(requests):
        best = most_views = NAN
        for k in range(candidates):
            if similarity[b, k] == similarity[b, k]:  # no pad
                best = _larger(similarity[b, k], best)
                most_views = _larger(items[b, k, at.item_views], most_views)
        for k in range(candidates):
            row = out[b, k]
            if similarity[b, k] != similarity[b, k]:
                row[:] = NAN
                continue
            for i in range(first_item):
                row[i] = user[b, i]
            for i in range(first_item, first_context):
                row[i] = items[b, k, i - first_item]
            for i in range(first_context, first_cross):
                row[i] = context[b, i - first_context]
            _write_cross(row[first_cross:], user[b], items[b, k], context[b], similarity[b, k], k, best, most_views, at)


@compiled
def _larger(value, most):
    """The larger of two numbers, of which `most` is NaN while there is none."""
    return value if value > most or most != most else most


@compiled
def _write_cross(out, user, item, context, similarity, rank, best, most_views, at):
    """Fill `out` (20,) float32 for one candidate from its rows `user` (40,), `item` (40,) and `context` (20,).

    `similarity` and `rank` are its own; `best` and `most_views` are the largest of the request. NaN in any input that
    a formula reads gives NaN, as does a division by zero.
    """
    out[at.cross_similarity] = similarity
    out[at.cross_retrieval_rank] = rank
    out[at.cross_similarity_gap] = similarity - best
    _taste(out, user, item, at)
    _price(out, user, item, at)
    _duration(out, user, item, context, at)
    _codes(out, user, item, context, at)
    _popularity(out, item, most_views, at)
    out[at.cross_ctr_product] = user[at.user_ctr] * item[at.item_ctr]
    out[at.cross_viewer_age_gap] = abs(user[at.user_age] - item[at.item_viewer_age])
    across = context[at.context_hour_sin] * item[at.item_hour_sin]
    along = context[at.context_hour_cos] * item[at.item_hour_cos]
    out[at.cross_hour_match] = across + along


@compiled
def _taste(out, user, item, at):
    category, first = item[at.item_category], user[at.user_favourite_category_1]
    if category != category or first != first:
        rank, share = NAN, NAN
    elif category == first:
        rank, share = ONE, user[at.user_favourite_share_1]
    elif category == user[at.user_favourite_category_2]:
        rank, share = np.float32(2), user[at.user_favourite_share_2]
    elif category == user[at.user_favourite_category_3]:
        rank, share = np.float32(3), user[at.user_favourite_share_3]
    else:
        rank, share = ZERO, ZERO
    out[at.cross_favourite_rank] = rank
    out[at.cross_taste_share] = share
    subcategory, favourite = item[at.item_subcategory], user[at.user_favourite_subcategory]
    known = subcategory == subcategory and favourite == favourite
    out[at.cross_subcategory_match] = (ONE if subcategory == favourite else ZERO) if known else NAN


@compiled
def _price(out, user, item, at):
    price, low, high = item[at.item_price], user[at.user_price_min], user[at.user_price_max]
    known = price == price and low == low and high == high
    out[at.cross_price_ratio] = _divide(price, user[at.user_price_mean])
    out[at.cross_price_in_range] = (ONE if low <= price <= high else ZERO) if known else NAN
    out[at.cross_price_place] = _divide(price - low, high - low)


@compiled
def _duration(out, user, item, context, at):
    seconds, device = item[at.item_duration_seconds], context[at.context_device]
    out[at.cross_duration_ratio] = _divide(seconds, user[at.user_watch_seconds])
    known = 0 <= device < len(TYPICAL_SECONDS)
    out[at.cross_duration_device] = seconds / TYPICAL_SECONDS[int(device)] if known else NAN


@compiled
def _codes(out, user, item, context, at):
    device, category = context[at.context_device], item[at.item_category]
    out[at.cross_device_weekend] = device * np.float32(2) + context[at.context_weekend]
    out[at.cross_account_part_of_day] = user[at.user_account_type] * PARTS_OF_DAY + context[at.context_part_of_day]
    out[at.cross_category_device] = category * DEVICES + device
    out[at.cross_category_age_group] = category * AGE_GROUPS + user[at.user_age_group]


@compiled
def _popularity(out, item, most_views, at):
    age = max(item[at.item_age_days], ZERO) if item[at.item_age_days] == item[at.item_age_days] else NAN
    out[at.cross_fresh_popularity] = math.log1p(item[at.item_views_7d]) * math.exp(age * FRESH)
    out[at.cross_popularity_share] = _divide(item[at.item_views], most_views)


@compiled
def _divide(numerator, denominator):
    return NAN if denominator == 0 else numerator / denominator
