"""The 120 ranking features: name, group, default, formula and window of each, in matrix order.

From these tuples come the training matrix, the serving matrix, the documentation page and the schema hash of a release.
"Before" always means: events of strictly earlier seconds than the row's time. "Taste events" are TASTE_EVENTS.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trident.features.vocabulary import Vocabulary

NAN = math.nan
DAY = 86_400
SESSION_GAP = 1_800
"""Seconds without an event after which a new session starts."""
TASTE_EVENTS = ("click", "like", "add", "purchase")
"""Events that say what a user likes: they make up favourites, price range and history."""
APPROVALS = (*TASTE_EVENTS, "share")
RECENCY_BINS = (1.0, 7.0, 30.0)
"""Days at which hot becomes warm, cool and cold."""
AGE_GROUPS = (18, 25, 35, 45, 55)
"""Years at which the age groups 1 to 5 begin; group 0 is younger."""


@dataclass(frozen=True)
class Feature:
    """One column of the matrix.

    `default` is the value for an entity that nobody knows. `vocabulary` names the code list of a categorical column
    (codes as floats, unknown = NaN). A `clock` column grows by 1 per day of wall time, so that a stored row can be
    advanced from the time it describes to the time of the request.
    """

    name: str
    group: str
    default: float
    formula: str
    window: str = ""
    vocabulary: str = ""
    clock: bool = False


USER: tuple[Feature, ...] = (
    Feature("user_age", "user", NAN, "years"),
    Feature("user_age_group", "user", NAN, "0 under 18, 1 from 18, 2 from 25, 3 from 35, 4 from 45, 5 from 55"),
    Feature("user_region", "user", NAN, "code of the home region", vocabulary="regions"),
    Feature("user_account_type", "user", NAN, "code of the account type", vocabulary="account_types"),
    Feature("user_tenure_days", "user", NAN, "days since member_since", clock=True),
    Feature("user_interactions", "user", 0.0, "events of any type", "all"),
    Feature("user_views", "user", 0.0, "views", "all"),
    Feature("user_clicks", "user", 0.0, "clicks", "all"),
    Feature("user_purchases", "user", 0.0, "purchases", "all"),
    Feature("user_active_days", "user", 0.0, "UTC days with an event", "all"),
    Feature("user_interactions_1d", "user", 0.0, "events of any type", "24 h"),
    Feature("user_interactions_7d", "user", 0.0, "events of any type", "7 d"),
    Feature("user_ctr", "user", NAN, "clicks / views", "all"),
    Feature("user_conversion", "user", NAN, "purchases / clicks", "all"),
    Feature(
        "user_session_minutes", "user", NAN, "minutes in sessions / sessions; 30 minutes of silence end one", "all"
    ),
    Feature("user_watch_seconds", "user", NAN, "mean duration_seconds of events that state it", "all"),
    Feature("user_recency_days", "user", NAN, "days since the last event", "all", clock=True),
    Feature("user_recency_bin", "user", NAN, "of recency_days: 0 hot < 1, 1 warm < 7, 2 cool < 30, 3 cold"),
    Feature("user_favourite_category_1", "user", NAN, "category with most taste events", "all", "categories"),
    Feature("user_favourite_category_2", "user", NAN, "the second", "all", "categories"),
    Feature("user_favourite_category_3", "user", NAN, "the third", "all", "categories"),
    Feature("user_favourite_share_1", "user", NAN, "its share of the taste events with a category", "all"),
    Feature("user_favourite_share_2", "user", NAN, "the share of the second", "all"),
    Feature("user_favourite_share_3", "user", NAN, "the share of the third", "all"),
    Feature("user_favourite_subcategory", "user", NAN, "subcategory with most taste events", "all", "subcategories"),
    Feature("user_categories_seen", "user", 0.0, "different categories among the taste events", "all"),
    Feature("user_price_mean", "user", NAN, "mean item price of taste events", "all"),
    Feature("user_price_min", "user", NAN, "lowest item price of taste events", "all"),
    Feature("user_price_max", "user", NAN, "highest item price of taste events", "all"),
    Feature("user_lifetime_value", "user", 0.0, "sum of item prices of purchases", "all"),
    Feature("user_order_value", "user", NAN, "lifetime_value / purchases of items with a price", "all"),
    Feature("user_purchase_days", "user", NAN, "days since the last purchase", "all", clock=True),
    Feature("user_hour_sin", "user", NAN, "mean over events of sin(2π · UTC hour / 24)", "all"),
    Feature("user_hour_cos", "user", NAN, "mean over events of cos(2π · UTC hour / 24)", "all"),
    Feature("user_weekend_share", "user", NAN, "weekend events / events", "all"),
    Feature("user_weekend_uplift", "user", NAN, "(weekend events / 2) / (other events / 5)", "all"),
    Feature("user_mobile_share", "user", NAN, "mobile events / events with a known device", "all"),
    Feature("user_desktop_share", "user", NAN, "desktop events / events with a known device", "all"),
    Feature("user_tablet_share", "user", NAN, "tablet events / events with a known device", "all"),
    Feature("user_tv_share", "user", NAN, "tv events / events with a known device", "all"),
)

ITEM: tuple[Feature, ...] = (
    Feature("item_category", "item", NAN, "code of the category", vocabulary="categories"),
    Feature("item_subcategory", "item", NAN, "code of the subcategory", vocabulary="subcategories"),
    Feature("item_language", "item", NAN, "code of the language", vocabulary="languages"),
    Feature("item_duration_seconds", "item", NAN, "length of the item"),
    Feature("item_price", "item", NAN, "price"),
    Feature("item_tags", "item", 0.0, "number of tags"),
    Feature("item_age_limit", "item", 0.0, "years that a viewer must have"),
    Feature("item_age_days", "item", NAN, "days since published_at", clock=True),
    Feature("item_recency_days", "item", NAN, "days since the last event", "all", clock=True),
    Feature("item_views", "item", 0.0, "views", "all"),
    Feature("item_viewers", "item", 0.0, "different users among the views", "all"),
    Feature("item_clicks", "item", 0.0, "clicks", "all"),
    Feature("item_likes", "item", 0.0, "likes", "all"),
    Feature("item_adds", "item", 0.0, "adds", "all"),
    Feature("item_shares", "item", 0.0, "shares", "all"),
    Feature("item_purchases", "item", 0.0, "purchases", "all"),
    Feature("item_revenue", "item", 0.0, "purchases · price", "all"),
    Feature("item_ctr", "item", NAN, "clicks / views", "all"),
    Feature("item_conversion", "item", NAN, "purchases / clicks", "all"),
    Feature("item_like_rate", "item", NAN, "likes / views", "all"),
    Feature("item_share_rate", "item", NAN, "shares / views", "all"),
    Feature("item_views_per_viewer", "item", NAN, "views / viewers", "all"),
    Feature("item_completion", "item", NAN, "mean of duration_seconds / item length, at most 1, of events", "all"),
    Feature("item_watch_seconds", "item", NAN, "mean duration_seconds of events that state it", "all"),
    Feature("item_rating", "item", 3.0, "1 to 5: 1 + 4 · (approvals + 1) / (views + approvals + 2)", "all"),
    Feature("item_views_1d", "item", 0.0, "views", "24 h"),
    Feature("item_views_7d", "item", 0.0, "views", "7 d"),
    Feature("item_views_previous_7d", "item", 0.0, "views of the 7 days before the last 7", "14 d"),
    Feature("item_trending", "item", NAN, "views_7d / views", "7 d"),
    Feature("item_growth", "item", NAN, "views_7d / views_previous_7d − 1", "14 d"),
    Feature("item_clicks_1d", "item", 0.0, "clicks", "24 h"),
    Feature("item_clicks_7d", "item", 0.0, "clicks", "7 d"),
    Feature("item_ctr_7d", "item", NAN, "clicks_7d / views_7d", "7 d"),
    Feature("item_purchases_7d", "item", 0.0, "purchases", "7 d"),
    Feature("item_revenue_7d", "item", 0.0, "purchases · price", "7 d"),
    Feature("item_viewer_age", "item", NAN, "mean age of the users of its events", "all"),
    Feature("item_weekend_share", "item", NAN, "weekend events / events", "all"),
    Feature("item_mobile_share", "item", NAN, "mobile events / events with a known device", "all"),
    Feature("item_hour_sin", "item", NAN, "mean over events of sin(2π · UTC hour / 24)", "all"),
    Feature("item_hour_cos", "item", NAN, "mean over events of cos(2π · UTC hour / 24)", "all"),
)

CONTEXT: tuple[Feature, ...] = (
    Feature("context_hour", "context", NAN, "UTC hour, 0 to 23"),
    Feature("context_hour_sin", "context", NAN, "sin(2π · hour / 24)"),
    Feature("context_hour_cos", "context", NAN, "cos(2π · hour / 24)"),
    Feature("context_weekday", "context", NAN, "UTC weekday, 0 Monday to 6 Sunday"),
    Feature("context_weekday_sin", "context", NAN, "sin(2π · weekday / 7)"),
    Feature("context_weekday_cos", "context", NAN, "cos(2π · weekday / 7)"),
    Feature("context_weekend", "context", NAN, "1 on Saturday and Sunday"),
    Feature("context_weekday_type", "context", NAN, "0 Monday to Thursday, 1 Friday, 2 weekend"),
    Feature("context_part_of_day", "context", NAN, "hour // 6: 0 night, 1 morning, 2 afternoon, 3 evening"),
    Feature("context_night", "context", NAN, "1 from 0 to 6 h"),
    Feature("context_morning", "context", NAN, "1 from 6 to 12 h"),
    Feature("context_afternoon", "context", NAN, "1 from 12 to 18 h"),
    Feature("context_evening", "context", NAN, "1 from 18 to 24 h"),
    Feature("context_device", "context", NAN, "code of the device", vocabulary="devices"),
    Feature("context_mobile", "context", 0.0, "1 on mobile"),
    Feature("context_desktop", "context", 0.0, "1 on desktop"),
    Feature("context_tablet", "context", 0.0, "1 on tablet"),
    Feature("context_tv", "context", 0.0, "1 on tv"),
    Feature("context_region", "context", NAN, "code of the region asked from", vocabulary="regions"),
    Feature("context_away", "context", NAN, "1 when region and home region differ, both known"),
)

CROSS: tuple[Feature, ...] = (
    Feature("cross_similarity", "cross", NAN, "inner product of user and item embedding"),
    Feature("cross_retrieval_rank", "cross", NAN, "place among the candidates, 0 the nearest"),
    Feature("cross_similarity_gap", "cross", NAN, "similarity − best similarity of the request"),
    Feature("cross_favourite_rank", "cross", NAN, "1, 2, 3 for the user's favourite categories, 0 for others"),
    Feature("cross_taste_share", "cross", NAN, "share of the favourite that the item's category is, 0 for others"),
    Feature("cross_subcategory_match", "cross", NAN, "1 when the item's subcategory is the user's favourite"),
    Feature("cross_price_ratio", "cross", NAN, "price / user_price_mean"),
    Feature("cross_price_in_range", "cross", NAN, "1 when user_price_min ≤ price ≤ user_price_max"),
    Feature("cross_price_place", "cross", NAN, "(price − user_price_min) / (user_price_max − user_price_min)"),
    Feature("cross_duration_ratio", "cross", NAN, "item length / user_watch_seconds"),
    Feature("cross_duration_device", "cross", NAN, "item length / 600 s mobile, 1800 desktop, 2400 tablet, 5400 tv"),
    Feature("cross_device_weekend", "cross", NAN, "device · 2 + weekend"),
    Feature("cross_account_part_of_day", "cross", NAN, "account type · 4 + part of day"),
    Feature("cross_category_device", "cross", NAN, "category · 4 + device"),
    Feature("cross_category_age_group", "cross", NAN, "category · 6 + age group"),
    Feature("cross_fresh_popularity", "cross", NAN, "ln(1 + item_views_7d) · e^(−item_age_days / 30)"),
    Feature("cross_ctr_product", "cross", NAN, "user_ctr · item_ctr"),
    Feature("cross_viewer_age_gap", "cross", NAN, "|user_age − item_viewer_age|"),
    Feature("cross_hour_match", "cross", NAN, "cosine part: context hour · hours of the item's events"),
    Feature("cross_popularity_share", "cross", NAN, "item_views / most views among the candidates"),
)

ALL: tuple[Feature, ...] = (*USER, *ITEM, *CONTEXT, *CROSS)
"""All columns in matrix order: user, item, context, cross."""

GROUPS = {"user": USER, "item": ITEM, "context": CONTEXT, "cross": CROSS}

_INDEX = {feature.name: i for i, feature in enumerate(ALL)}
_PLACE = {feature.name: i for group in GROUPS.values() for i, feature in enumerate(group)}


def index(name: str) -> int:
    """Column of a feature in the whole matrix, 0 to 119; KeyError for an unknown name."""
    return _INDEX[name]


def place(name: str) -> int:
    """Column of a feature in the rows of its own group, such as 12 for `user_ctr`; KeyError for an unknown name."""
    return _PLACE[name]


def schema_hash(vocabulary: Vocabulary) -> str:
    """16 hex digits that change with any name, order, formula, window or code list: rows of two hashes do not mix."""
    table = [(f.name, f.group, f.formula, f.window, f.vocabulary, f.clock, repr(f.default)) for f in ALL]
    text = json.dumps([table, vocabulary.to_dict()], ensure_ascii=False, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
