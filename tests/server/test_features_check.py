"""The check of served rows against those of training, on the real server: what it finds and what it lets pass."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import redis
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.errors import Unavailable
from trident.features.registry import ALL, place
from trident.state.layout import pack_row, unpack_row
from trident.state.load import LOADED, load_users
from trident_export.build_source import synthetic_source
from trident_export.data.dataset import Dataset
from trident_export.data.validate import validate
from trident_export.features_check import Differences, FeaturesReport, check_features


def check(served, **options) -> FeaturesReport:
    return check_features(served.repository, served.server.grpc, served.server.redis_url, **{"requests": 40, **options})


@pytest.fixture
def store(served) -> Iterator[redis.Redis]:
    """The server's Redis; what a test does to the user rows is undone."""
    client = redis.Redis.from_url(served.server.redis_url)
    yield client
    client.delete(LOADED, *client.scan_iter("user_history:*"))
    load_users(served.repository, served.server.redis_url)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean events that the release of these tests was built from."""
    folder, end = tmp_path_factory.mktemp("log"), datetime(2026, 6, 1, tzinfo=timezone.utc)
    source = synthetic_source(users=300, items=800, events=20_000, days=30, end=end)
    return validate(source.load(folder / "raw"), folder / "clean", source.rules).dataset.folder


def test_all_served_features_equal_those_of_training_at_float32(served):
    report = check(served, requests=150)
    assert report.wrong == []
    assert report.differences.compared == 150 * 500
    assert report.moved_on == 0


def test_they_equal_those_computed_from_the_events_again(served, log):
    assert check(served, log=log).wrong == []


def test_events_that_the_release_does_not_know_are_found(served, log, tmp_path):
    dataset = Dataset.open(log)
    events, users, items = (pq.read_table(path) for path in (dataset.events, dataset.users, dataset.items))
    fewer = Dataset.write(tmp_path, events.slice(0, len(events) - 2_000), users, items)
    wrong = check(served, log=fewer.folder).wrong
    assert {"user_interactions", "item_views", "cross_fresh_popularity"} <= set(wrong)
    assert not [name for name in wrong if name.startswith("context_")]


def test_a_changed_row_in_redis_is_found_by_name(served, store):
    schema = served.oracle.release.manifest.feature_schema
    for key in store.scan_iter("user_feat:*"):
        row = unpack_row(store.get(key), schema)
        changed = row.features.copy()
        changed[place("user_order_value")] += 0.5
        store.set(key, pack_row(replace(row, features=changed), schema))
    report = check(served)
    assert {"user_order_value", "cross_similarity"} <= set(report.wrong)
    assert "user_views" not in report.wrong
    largest = dict(zip([f.name for f in ALL], report.differences.largest, strict=True))
    assert largest["user_order_value"] == pytest.approx(0.5, rel=1e-4)
    assert check(served, tolerance=10.0).wrong == []


def test_a_taste_that_moved_on_since_the_release_is_no_difference(served, store):
    first = served.oracle.release.items.ids[0]
    for key in store.scan_iter("user_history:*"):
        store.zadd(key, {first: served.oracle.release.manifest.as_of})
    report = check(served)
    assert report.wrong == []
    assert report.moved_on > 30


def test_the_check_leaves_no_embedding_and_nothing_shown(served, store):
    for pattern in ("user_emb:*", "recent_items:*"):
        if keys := list(store.scan_iter(pattern)):
            store.delete(*keys)
    check(served)
    assert not list(store.scan_iter("user_emb:*"))
    assert not list(store.scan_iter("recent_items:*"))


def test_the_command_finds_the_server_and_ends_with_1_when_features_differ(served, store):
    def run(*more: str):
        given = ["features", "check", "--repository", str(served.repository), "--requests", "20", *more]
        return CliRunner().invoke(command_line(), given)

    found = run("--json")
    assert found.exit_code == 0
    told = json.loads(found.stdout)
    assert (told["rows"], told["wrong"], len(told["features"])) == (10_000, [], 120)
    for key in store.scan_iter("user_feat:*"):
        store.delete(key)
    found = run()
    assert found.exit_code == 1
    assert "user_views" in found.stdout
    assert "features differ" in found.stdout.splitlines()[-1]


def test_a_server_that_does_not_answer_is_named(served):
    with pytest.raises(Unavailable, match="user_encoder 1 does not answer"):
        check_features(served.repository, "127.0.0.1:9", served.server.redis_url, requests=1)


def test_a_number_and_a_nan_differ_and_two_nans_do_not():
    nan, found = np.nan, Differences()
    served, offline = np.zeros((2, 3, 120), np.float32)
    served[:, 1], offline[:, 1] = (nan, 1.0, nan), (nan, nan, nan)
    served[2, 2] = 0.25
    found.add(served, offline)
    report = FeaturesReport(1, 1, 0, 0.0, found)
    assert report.wrong == [ALL[1].name, ALL[2].name]
    assert found.missing[1] == 1
    assert found.largest[2] == 0.25
