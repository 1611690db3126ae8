"""The 20 cross features: what user, item and context say together."""

from __future__ import annotations

import numpy as np

from trident.features.registry import AGE_GROUPS, place

TYPICAL_SECONDS = np.array([600.0, 1_800.0, 2_400.0, 5_400.0, np.nan], np.float32)
"""Length that suits each of DEVICES, then of an unknown one."""
FRESH_DAYS = 30.0
_FAVOURITES = [place(f"user_favourite_category_{n}") for n in (1, 2, 3)]
_SHARES = [place(f"user_favourite_share_{n}") for n in (1, 2, 3)]


def write_cross(
    out: np.ndarray, user: np.ndarray, items: np.ndarray, context: np.ndarray, similarity: np.ndarray
) -> None:
    """Fill `out` (B, K, 20) float32 from `user` (B, 40), `items` (B, K, 40), `context` (B, 20), `similarity` (B, K).

    NaN in any input that a formula reads gives NaN, as does a division by zero. Pads may hold anything.
    """
    with np.errstate(all="ignore"):
        _similarity(out, similarity)
        _taste(out, user, items)
        _price(out, user, items)
        _duration(out, user, items, context)
        _codes(out, user, items, context)
        _popularity(out, user, items, context, similarity)


def _put(out: np.ndarray, name: str, values: np.ndarray) -> None:
    out[:, :, place(name)] = values


def _of_item(items: np.ndarray, name: str) -> np.ndarray:
    return items[:, :, place(name)]  # (B, K)


def _of_row(rows: np.ndarray, name: str) -> np.ndarray:
    column = place(name)
    return rows[:, column : column + 1]  # (B, 1), of a user or context row


def _divide(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return numerator / np.where(denominator == 0, np.float32(np.nan), denominator)


def _similarity(out: np.ndarray, similarity: np.ndarray) -> None:
    _put(out, "cross_similarity", similarity)
    _put(out, "cross_retrieval_rank", np.arange(similarity.shape[1], dtype=np.float32))
    _put(out, "cross_similarity_gap", similarity - np.fmax.reduce(similarity, axis=1, keepdims=True))


def _taste(out: np.ndarray, user: np.ndarray, items: np.ndarray) -> None:
    category = _of_item(items, "item_category")
    favourites, shares = user[:, _FAVOURITES], user[:, _SHARES]
    unknown = np.isnan(category) | np.isnan(favourites[:, :1])
    rank, share = np.zeros_like(category), np.zeros_like(category)
    for n in range(3):
        match = category == favourites[:, n : n + 1]
        np.copyto(rank, n + 1, where=match)
        np.copyto(share, shares[:, n : n + 1], where=match)
    rank[unknown] = share[unknown] = np.nan
    _put(out, "cross_favourite_rank", rank)
    _put(out, "cross_taste_share", share)
    subcategory, favourite = _of_item(items, "item_subcategory"), _of_row(user, "user_favourite_subcategory")
    _put(out, "cross_subcategory_match", _both_known(subcategory == favourite, subcategory, favourite))


def _both_known(values: np.ndarray, *inputs: np.ndarray) -> np.ndarray:
    result = values.astype(np.float32)
    for column in inputs:
        result += column * np.float32(0)
    return result


def _price(out: np.ndarray, user: np.ndarray, items: np.ndarray) -> None:
    price = _of_item(items, "item_price")
    low, high = _of_row(user, "user_price_min"), _of_row(user, "user_price_max")
    _put(out, "cross_price_ratio", _divide(price, _of_row(user, "user_price_mean")))
    _put(out, "cross_price_in_range", _both_known((price >= low) & (price <= high), price, low, high))
    _put(out, "cross_price_place", _divide(price - low, high - low))


def _duration(out: np.ndarray, user: np.ndarray, items: np.ndarray, context: np.ndarray) -> None:
    seconds = _of_item(items, "item_duration_seconds")
    device = np.nan_to_num(_of_row(context, "context_device"), nan=-1).astype(np.int64)
    _put(out, "cross_duration_ratio", _divide(seconds, _of_row(user, "user_watch_seconds")))
    _put(out, "cross_duration_device", seconds / TYPICAL_SECONDS[device])


def _codes(out: np.ndarray, user: np.ndarray, items: np.ndarray, context: np.ndarray) -> None:
    device, category = _of_row(context, "context_device"), _of_item(items, "item_category")
    account, part = _of_row(user, "user_account_type"), _of_row(context, "context_part_of_day")
    groups = len(AGE_GROUPS) + 1
    _put(out, "cross_device_weekend", device * 2 + _of_row(context, "context_weekend"))
    _put(out, "cross_account_part_of_day", account * 4 + part)
    _put(out, "cross_category_device", category * 4 + device)
    _put(out, "cross_category_age_group", category * groups + _of_row(user, "user_age_group"))


def _popularity(
    out: np.ndarray, user: np.ndarray, items: np.ndarray, context: np.ndarray, similarity: np.ndarray
) -> None:
    age = np.maximum(_of_item(items, "item_age_days"), 0)
    views = np.where(np.isnan(similarity), np.float32(np.nan), _of_item(items, "item_views"))
    fresh = np.log1p(_of_item(items, "item_views_7d")) * np.exp(age * np.float32(-1 / FRESH_DAYS))
    _put(out, "cross_fresh_popularity", fresh)
    _put(out, "cross_ctr_product", _of_row(user, "user_ctr") * _of_item(items, "item_ctr"))
    _put(out, "cross_viewer_age_gap", np.abs(_of_row(user, "user_age") - _of_item(items, "item_viewer_age")))
    hour = _of_row(context, "context_hour_sin") * _of_item(items, "item_hour_sin")
    hour += _of_row(context, "context_hour_cos") * _of_item(items, "item_hour_cos")
    _put(out, "cross_hour_match", hour)
    _put(out, "cross_popularity_share", _divide(views, np.fmax.reduce(views, axis=1, keepdims=True)))
