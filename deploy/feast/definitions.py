"""What Feast knows of users: one feature view for each Parquet file in `data/`, named after its feature schema.

Written by `python -m trident_export.feast_repository` from trident/features/registry.py. Rows of two schemas never
mix: their codes mean different things, so they lie in views of their own.
"""

from pathlib import Path

import pyarrow.parquet as pq
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Array, Float32, Int32, Int64, String

DATA = Path(__file__).resolve().parent / "data"

USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)

FEATURES = [
    ("user_age", "years"),
    ("user_age_group", "0 under 18, 1 from 18, 2 from 25, 3 from 35, 4 from 45, 5 from 55"),
    ("user_region", "code of the home region"),
    ("user_account_type", "code of the account type"),
    ("user_tenure_days", "days since member_since"),
    ("user_interactions", "events of any type; all"),
    ("user_views", "views; all"),
    ("user_clicks", "clicks; all"),
    ("user_purchases", "purchases; all"),
    ("user_active_days", "UTC days with an event; all"),
    ("user_interactions_1d", "events of any type; 24 h"),
    ("user_interactions_7d", "events of any type; 7 d"),
    ("user_ctr", "clicks / views; all"),
    ("user_conversion", "purchases / clicks; all"),
    ("user_session_minutes", "minutes in sessions / sessions; 30 minutes of silence end one; all"),
    ("user_watch_seconds", "mean duration_seconds of events that state it; all"),
    ("user_recency_days", "days since the last event; all"),
    ("user_recency_bin", "of recency_days: 0 hot < 1, 1 warm < 7, 2 cool < 30, 3 cold"),
    ("user_favourite_category_1", "category with most taste events; all"),
    ("user_favourite_category_2", "the second; all"),
    ("user_favourite_category_3", "the third; all"),
    ("user_favourite_share_1", "its share of the taste events with a category; all"),
    ("user_favourite_share_2", "the share of the second; all"),
    ("user_favourite_share_3", "the share of the third; all"),
    ("user_favourite_subcategory", "subcategory with most taste events; all"),
    ("user_categories_seen", "different categories among the taste events; all"),
    ("user_price_mean", "mean item price of taste events; all"),
    ("user_price_min", "lowest item price of taste events; all"),
    ("user_price_max", "highest item price of taste events; all"),
    ("user_lifetime_value", "sum of item prices of purchases; all"),
    ("user_order_value", "lifetime_value / purchases of items with a price; all"),
    ("user_purchase_days", "days since the last purchase; all"),
    ("user_hour_sin", "mean over events of sin(2π · UTC hour / 24); all"),
    ("user_hour_cos", "mean over events of cos(2π · UTC hour / 24); all"),
    ("user_weekend_share", "weekend events / events; all"),
    ("user_weekend_uplift", "(weekend events / 2) / (other events / 5); all"),
    ("user_mobile_share", "mobile events / events with a known device; all"),
    ("user_desktop_share", "desktop events / events with a known device; all"),
    ("user_tablet_share", "tablet events / events with a known device; all"),
    ("user_tv_share", "tv events / events with a known device; all"),
]

FIELDS = [
    *(Field(name=name, dtype=Float32, description=meaning) for name, meaning in FEATURES),
    Field(name="home_region", dtype=String, description="home region, ISO 3166 code, empty when unknown"),
    Field(name="age", dtype=Int32, description="years, -1 unknown"),
    Field(name="as_of", dtype=Int64, description="unix seconds: the features count events before this"),
    Field(name="history", dtype=Array(String), description="ids of the items clicked or bought last, newest first"),
    Field(name="history_at", dtype=Array(Int64), description="unix second of the newest such event of each"),
    Field(name="consumed", dtype=Array(String), description="ids of the items that count as consumed by the rules"),
    Field(name="consumed_at", dtype=Array(Int64), description="unix second of the newest such event of each"),
]


def view(path: Path) -> FeatureView:
    """The feature view of one exported file."""
    schema = pq.read_schema(path).metadata[b"feature_schema"].decode()
    source = FileSource(name=f"user_rows_{schema}", path=str(path), timestamp_field="event_timestamp")
    return FeatureView(name=f"user_rows_{schema}", entities=[USER], schema=FIELDS, source=source)


for path in sorted(DATA.glob("user_rows_*.parquet")):  # Feast looks for its objects among the names of this module
    rows = view(path)
    globals()[rows.name] = rows
    globals()[f"service_{rows.name}"] = FeatureService(name=rows.name, features=[rows])
