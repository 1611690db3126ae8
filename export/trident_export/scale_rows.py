"""Plausible feature rows of items and users, column by column."""

from __future__ import annotations

import numpy as np

from trident.features.clock import recency_bin
from trident.features.registry import AGE_GROUPS, place
from trident_export.scale_words import ACCOUNTS, LANGUAGES

AGE_LIMITS, AGE_SHARES = (0, 12, 16, 18), (0.92, 0.03, 0.03, 0.02)


class Draft:
    """Rows (m, 40) float32 in the making, NaN where nothing was put."""

    def __init__(self, rows: int, rng: np.random.Generator) -> None:
        self.rows, self.rng = np.full((rows, 40), np.nan, np.float32), rng

    def put(self, name: str, values: np.ndarray | float) -> np.ndarray:
        """Fill a column; returns it."""
        self.rows[:, place(name)] = values
        return self.rows[:, place(name)]

    def even(self) -> np.ndarray:
        """Numbers from 0 to 1: (m,) float32."""
        return self.rng.random(len(self.rows), np.float32)

    def drawn(self, middle: float, spread: float) -> np.ndarray:
        """Log-normal numbers: (m,) float32."""
        return np.exp(self.rng.standard_normal(len(self.rows), np.float32) * np.float32(spread)) * np.float32(middle)

    def put_hour(self, group: str) -> None:
        """Fill the two columns of the time of day."""
        hour = 2 * np.pi * self.even()
        self.put(f"{group}_hour_sin", 0.7 * np.sin(hour))
        self.put(f"{group}_hour_cos", 0.7 * np.cos(hour))

    def finite(self) -> np.ndarray:
        """The rows; what came of a division by nothing is NaN."""
        self.rows[np.isinf(self.rows)] = np.nan
        return self.rows


def item_features(category: np.ndarray, subcategory: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The 40 features of m items: (m, 40) float32. Counts and rates fit each other; a rate of nothing is NaN."""
    draft = Draft(len(category), rng)
    draft.put("item_category", category)
    draft.put("item_subcategory", subcategory)
    draft.put("item_language", np.floor(draft.even() ** 2 * LANGUAGES))
    duration = draft.put("item_duration_seconds", draft.drawn(900, 1))
    draft.put("item_price", draft.drawn(20, 0.8))
    draft.put("item_tags", rng.integers(0, 12, len(category)))
    draft.put("item_age_limit", rng.choice(AGE_LIMITS, len(category), p=AGE_SHARES))
    age = draft.put("item_age_days", np.minimum(draft.drawn(150, 1.2), 3_000))
    draft.put("item_recency_days", age * draft.even())
    with np.errstate(all="ignore"):
        _events_of_items(draft)
    draft.put("item_watch_seconds", duration * draft.put("item_completion", draft.even()))
    draft.put("item_viewer_age", 20 + 40 * draft.even())
    draft.put("item_weekend_share", draft.even())
    draft.put("item_mobile_share", draft.even())
    draft.put_hour("item")
    return draft.finite()


def _events_of_items(draft: Draft) -> None:
    put, drawn, price = draft.put, draft.drawn, draft.rows[:, place("item_price")]
    views = put("item_views", np.floor(drawn(20, 2)))
    clicks = put("item_clicks", np.floor(views * np.minimum(drawn(0.05, 0.6), 1)))
    likes = put("item_likes", np.floor(clicks * drawn(0.2, 0.3)))
    adds = put("item_adds", np.floor(clicks * drawn(0.15, 0.3)))
    shares = put("item_shares", np.floor(clicks * drawn(0.05, 0.3)))
    bought = put("item_purchases", np.floor(clicks * drawn(0.1, 0.5)))
    put("item_revenue", bought * price)
    put("item_ctr", clicks / views)
    put("item_conversion", bought / clicks)
    put("item_like_rate", likes / views)
    put("item_share_rate", shares / views)
    put("item_views_per_viewer", views / put("item_viewers", np.ceil(views * 0.8)))
    approvals = clicks + likes + adds + shares + bought
    put("item_rating", 1 + 4 * (approvals + 1) / (views + approvals + 2))
    week = put("item_views_7d", np.floor(views * draft.even() * 0.2))
    put("item_growth", week / put("item_views_previous_7d", np.floor(views * draft.even() * 0.2)) - 1)
    put("item_views_1d", np.floor(week / 7))
    put("item_trending", week / views)
    clicked = put("item_clicks_7d", np.floor(week * 0.05))
    put("item_clicks_1d", np.floor(clicked / 7))
    put("item_ctr_7d", clicked / week)
    put("item_revenue_7d", price * put("item_purchases_7d", np.floor(clicked * 0.1)))


def user_features(
    age: np.ndarray, region: np.ndarray, favourites: np.ndarray, subcategory: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The 40 features of m users: (m, 40) float32.

    `age` (m,) -1 unknown, `region` (m,) codes, `favourites` (m, 3) categories, `subcategory` (m,) codes.
    """
    draft = Draft(len(age), rng)
    known = np.where(age < 0, np.nan, age)
    draft.put("user_age", known)
    draft.put("user_age_group", np.where(age < 0, np.nan, np.searchsorted(AGE_GROUPS, age, side="right")))
    draft.put("user_region", region)
    draft.put("user_account_type", rng.integers(0, ACCOUNTS, len(age)))
    for place_, share in enumerate((0.6, 0.25, 0.15)):
        draft.put(f"user_favourite_category_{place_ + 1}", favourites[:, place_])
        draft.put(f"user_favourite_share_{place_ + 1}", share)
    draft.put("user_favourite_subcategory", subcategory)
    draft.put("user_categories_seen", np.minimum(3 + draft.drawn(3, 0.5), 50).astype(np.int32))
    with np.errstate(all="ignore"):
        _events_of_users(draft)
        _money_of_users(draft)
    draft.put_hour("user")
    weekend = draft.put("user_weekend_share", 0.1 + 0.6 * draft.even())
    draft.put("user_weekend_uplift", 2.5 * weekend / (1 - weekend))
    devices = rng.dirichlet((3, 2, 0.5, 0.5), len(age))
    for code, device in enumerate(("mobile", "desktop", "tablet", "tv")):
        draft.put(f"user_{device}_share", devices[:, code])
    return draft.finite()


def _events_of_users(draft: Draft) -> None:
    put, drawn = draft.put, draft.drawn
    views = put("user_views", np.ceil(drawn(100, 1)))
    clicks = put("user_clicks", np.floor(views * np.minimum(drawn(0.08, 0.5), 1)))
    bought = put("user_purchases", np.floor(clicks * draft.even() * 0.3))
    put("user_interactions", views + clicks * 1.5 + bought)
    put("user_ctr", clicks / views)
    put("user_conversion", bought / clicks)
    put("user_active_days", np.ceil(views / 12))
    recent = put("user_interactions_7d", np.floor(views * draft.even() * 0.3))
    put("user_interactions_1d", np.floor(recent / 7))
    put("user_session_minutes", drawn(12, 0.6))
    put("user_watch_seconds", drawn(700, 0.6))
    tenure = put("user_tenure_days", 1 + 1_000 * draft.even())
    recency = put("user_recency_days", np.minimum(drawn(3, 1.2), tenure))
    put("user_recency_bin", recency_bin(recency))
    put("user_purchase_days", np.where(bought > 0, recency + draft.even() * (tenure - recency), np.nan))


def _money_of_users(draft: Draft) -> None:
    mean = draft.put("user_price_mean", draft.drawn(20, 0.5))
    draft.put("user_price_min", mean * (0.2 + 0.7 * draft.even()))
    draft.put("user_price_max", mean * (1.1 + 2 * draft.even()))
    bought = draft.rows[:, place("user_purchases")]
    value = draft.put("user_lifetime_value", bought * mean)
    draft.put("user_order_value", value / bought)
