"""Serve → feedback → pull → build → publish: what users do now is in the next release."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from trident.features.registry import place
from trident.release import Release
from trident.serving.serve import serving
from trident.users import UserRows
from trident_client import Event, Recommender
from trident_export.build import build
from trident_export.build_config import BuildConfig
from trident_export.build_source import folder_source
from trident_export.data import synthetic
from trident_export.features_logged import check_logged
from trident_export.feedback_pull import pull
from trident_export.impressions_pull import pull_shown
from trident_export.publishing.control import Control
from trident_export.publishing.publish import Options, Server, publish
from trident_export.ranker import RankerConfig
from trident_export.samples import SampleConfig
from trident_export.towers import TowerConfig

END = datetime(2026, 6, 1, tzinfo=timezone.utc)
HOUR = 3_600
QUICK = BuildConfig(
    towers=TowerConfig(epochs=1),
    samples=SampleConfig(requests=60),
    ranker=RankerConfig(trees=10, min_rows_per_leaf=20),
    item_snapshots=4,
)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Users, items and events behind the tiny release, as somebody's own files."""
    folder = tmp_path / "mine"
    synthetic.generate(folder, users=300, items=800, events=20_000, days=30, seed=7, end=END)
    events = folder / "events.parquet"
    events.rename(folder / "history")
    events.mkdir()
    (folder / "history").rename(events / "history.parquet")
    return folder


def test_what_users_did_is_in_the_next_release(mine, tiny_release, tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    publish(tiny_release, repository)
    monkeypatch.setenv("FEATURE_ROWS_SHARE", "1")
    told = int(END.timestamp()) + HOUR
    with serving(repository) as server, Recommender(server.grpc, deadline=5) as client:
        liked = client.recommend("u5", limit=5, record=False).item_ids
        events = [Event("u5", item, "purchase", told + n) for n, item in enumerate(liked)]
        client.feedback_many(events)
        client.feedback_many(events)  # as a caller does that got no answer
        client.feedback("newcomer", liked[0], "click", timestamp=told + HOUR)
        assert pull(server.redis_url, mine).rows == 11
        answers = [client.recommend(f"u{n}", limit=10, device="mobile") for n in range(30)]
        told = pull_shown(server.redis_url, mine)
        made = build(folder_source("files", mine), tmp_path / "second", QUICK)
        there = Server(Control(server.grpc, server.key), server.redis_url)
        assert publish(made.folder, repository, there, Options(override="of a hundred users nothing is sure")) == 2
        answer = client.recommend("u5", record=False)
        newcomer = client.recommend("newcomer", record=False)
    assert [pulled.rows for pulled, _ in told.values()] == [300, 300]
    impressions = pq.read_table(mine / "impressions.parquet")["item_id"].to_pylist()
    assert impressions == [item for answer in answers for item in answer.item_ids]
    logged = check_logged(repository, mine)
    assert (logged.wrong, logged.answers, logged.left_out) == ([], 30, {})
    assert made.quality.rejected["duplicate"] >= 5
    assert (answer.release, newcomer.release) == (2, 2)
    assert not set(answer.item_ids) & set(liked)
    assert (answer.degraded, newcomer.degraded) == ((), ())
    before, after = (purchases(release, "u5") for release in (tiny_release, made.folder))
    assert after == before + 5


def purchases(release: Path, user: str) -> float:
    users = UserRows.open(Release.open(release).folder / "users")
    ids = [users.ids[row].decode() for row in range(len(users))]
    return float(users.features[ids.index(user), place("user_purchases")])
