from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trident.errors import InvalidInput
from trident.features.registry import place
from trident_export.catalogue import Catalogue, Users, read_log
from trident_export.data.dataset import Dataset
from trident_export.event_log import Log, Requests
from trident_export.features import build_vocabulary
from trident_export.moments import ItemClock, Moments, matrices

DAY = 86_400
T = 1_700_000_000


@pytest.fixture
def opened(tmp_path: Path) -> tuple[Moments, Log]:
    return read(tmp_path, [("u2", "b", T, "click", "tv", "NZ"), ("u1", "a", T + DAY, "view", None, None)])


def read(folder: Path, events: list[tuple]) -> tuple[Moments, Log]:
    names = ["user_id", "item_id", "timestamp", "event_type", "device", "location"]
    columns = dict(zip(names, zip(*events, strict=True), strict=True))
    table = pa.table({n: pa.array(c) for n, c in columns.items()})
    table = table.set_column(
        2, "timestamp", pa.array([t * 10**6 for t in columns["timestamp"]], pa.timestamp("us", "UTC"))
    )
    items = pa.table(
        {"item_id": ["b", "a"], "category": ["x", "y"], "blocked_regions": [["NZ"], []], "age_limit": [18, 0]}
    )
    users = pa.table({"user_id": ["u1", "u2"], "region": ["NZ", None], "age": pa.array([None, 40], pa.int32())})
    dataset = Dataset.write(folder, table, users, items)
    vocabulary = build_vocabulary(dataset)
    known, catalogue = Users.read(dataset, vocabulary), Catalogue.read(dataset, vocabulary)
    return Moments(dataset, vocabulary, known, catalogue), read_log(dataset, known, catalogue, vocabulary)


def test_rows_follow_the_sorted_ids(opened: tuple[Moments, Log]) -> None:
    moments, log = opened
    catalogue, users = moments.catalogue, moments.known_users
    assert (catalogue.ids, users.ids) == (["a", "b"], ["u1", "u2"])
    assert catalogue.age_limit.tolist() == [0, 18]
    assert catalogue.blocked == [[], [moments.vocabulary.code("regions", "NZ")]]
    assert users.age.tolist() == [-1, 40]
    assert (log.user.tolist(), log.item.tolist(), log.time.tolist()) == ([0, 1], [0, 1], [T + DAY, T])
    assert (log.device.tolist(), log.region.tolist()) == ([-1, 3], [-1, 0])


def test_a_scene_sees_only_what_was_before(opened: tuple[Moments, Log]) -> None:
    moments, log = opened
    clicks = place("user_clicks")
    scene = moments.scene(Requests.at(log, np.array([1])))
    assert scene.users[0, clicks] == 0
    assert (scene.histories == -1).all()
    later = moments.scene(Requests(np.array([1]), np.array([T + 1]), np.array([-1]), np.array([-1])))
    assert later.users[0, clicks] == 1
    assert later.histories[0, :2].tolist() == [1, -1]


def test_item_rows_of_a_later_event_change_nothing(tmp_path: Path) -> None:
    past = [("u2", "b", T, "click", "tv", "NZ"), ("u1", "a", T + 5, "view", None, None)]
    before = read(tmp_path / "past", past)[0].items(np.array([T + DAY]))
    after = read(tmp_path / "more", [*past, ("u1", "b", T + DAY, "purchase", None, "NZ")])[0].items(np.array([T + DAY]))
    np.testing.assert_array_equal(before.rows, after.rows)


def test_the_clock_takes_the_last_snapshot_and_advances_it() -> None:
    rows = np.zeros((2, 3, 40), np.float32)
    age = place("item_age_days")
    rows[1, :, age] = [5, 6, 7]
    rows[1, :, place("item_views")] = 9
    clock = ItemClock(np.array([100, 200]), rows)
    seen = clock.at(np.array([[2, 0]]), np.array([200 + DAY // 2]))
    assert seen[0, :, age].tolist() == [7.5, 5.5]
    assert seen[0, :, place("item_views")].tolist() == [9, 9]
    assert clock.at(np.array([[2]]), np.array([199]))[0, 0, place("item_views")] == 0
    assert clock.all_at(200)[:, age].tolist() == [5, 6, 7]


def test_matrix_blocks_cover_every_request_and_pads_are_nan(opened: tuple[Moments, Log]) -> None:
    moments, log = opened
    requests = Requests.at(log, np.zeros(130, np.int64))
    rows = np.tile(np.array([[1, -1]]), (130, 1))
    similarity = np.where(rows >= 0, np.float32(0.5), np.float32(np.nan))
    blocks = list(matrices(moments.scene(requests), moments.items(np.array([T])), rows, similarity))
    assert [part.stop - part.start for part, _ in blocks] == [64, 64, 2]
    assert all(np.isnan(matrix[:, 1]).all() and not np.isnan(matrix[:, 0]).all() for _, matrix in blocks)


def test_events_of_strangers_are_refused(opened: tuple[Moments, Log]) -> None:
    moments, _ = opened
    fewer = Users(["u1"], np.array([-1], np.int32), np.array([0], np.int32))
    with pytest.raises(InvalidInput, match="1 others"):
        read_log(moments.dataset, fewer, moments.catalogue, moments.vocabulary)
