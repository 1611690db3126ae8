from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from trident.pipeline import Pipeline
from trident.release import MANIFEST, fingerprints
from trident.rules import Rules
from trident_export.build_config import BuildConfig
from trident_export.data.dataset import Dataset
from trident_export.data.synthetic import generate
from trident_export.data.validate import validate
from trident_export.end_to_end import (
    NEUTRAL_RULES,
    RULES_OFF,
    RULES_ON,
    Served,
    bystanders,
    end_to_end,
    inputs,
    published_by,
    write_release,
)
from trident_export.evaluate import ranked_lists
from trident_export.event_log import Requests
from trident_export.ground import Ground, lay_ground
from trident_export.learning import Ranker, fit_ranker, fit_towers
from trident_export.moments import ItemClock, Scene
from trident_export.question import Question
from trident_export.ranker import RankerConfig, predict
from trident_export.retrieval import embed, nearest
from trident_export.samples import SampleConfig
from trident_export.snapshot import users_at, write_models
from trident_export.towers import TowerConfig, Towers
from trident_export.writer import write_rules

END = datetime(2026, 6, 1, tzinfo=timezone.utc)
CONFIG = BuildConfig(
    towers=TowerConfig(epochs=1),
    samples=SampleConfig(requests=120),
    ranker=RankerConfig(trees=25, min_rows_per_leaf=20),
    item_snapshots=6,
)


@dataclass(frozen=True)
class Learned:
    """What an evaluation starts from, and its answers to requests at the very begin of the test window."""

    ground: Ground
    towers: Towers
    ranker: Ranker
    models: Path
    asked: Question
    users: Scene
    served: Served
    folder: Path

    @property
    def test(self) -> int:
        return self.ground.windows.test


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    folder = tmp_path_factory.mktemp("end-to-end")
    raw = generate(folder / "raw", users=120, items=400, events=8_000, days=20, end=END)
    ground = lay_ground(validate(raw, folder / "clean").dataset, CONFIG)
    towers = fit_towers(ground, CONFIG)
    ranker = fit_ranker(ground, towers, CONFIG)
    models, past = folder / "models", folder / "past"
    models.mkdir()
    write_rules(models, None)
    write_models(models, towers, ranker)
    asked = everyone(ground, ground.windows.test)
    users = users_at(ground, asked.requests.user, ground.windows.test)
    served = end_to_end(past, models, ground, towers, asked, users, ground.windows.test)
    return Learned(ground, towers, ranker, models, asked, users, served, past)


def everyone(ground: Ground, moment: int) -> Question:
    """All users ask at one moment, on a desktop and at home; what is right does not matter here."""
    user = np.arange(len(ground.moments.known_users))
    requests = Requests(user, np.full(len(user), moment), np.ones(len(user), int), np.full(len(user), -1))
    return Question(requests, [np.array([0])] * len(user), ground.log.touched(requests))


def test_with_the_rules_off_the_answer_is_the_ranked_list_of_what_may_be_shown(learned: Learned) -> None:
    ground, asked = learned.ground, learned.asked
    scene = ground.moments.scene(asked.requests)
    member = learned.users.users[:, 4] >= 0  # nothing is known of who comes later
    rows = ground.items.all_at(learned.test)
    items = ItemClock(np.array([learned.test]), rows[None])
    hidden = [np.flatnonzero(~learned.served.allowed(query)) for query in range(len(asked))]
    found = nearest(embed(learned.towers, scene), learned.towers.item_embeddings(rows), hidden, 500)
    offline = ranked_lists(scene, items, found, lambda x: predict(learned.ranker.booster, x))[:, :20]
    answers = learned.served.lists[RULES_OFF]
    assert 80 < member.sum() < len(asked)
    # Items of equal probability may change places: the server sorts them by row, the list by similarity.
    same = (np.sort(answers[member], axis=1) == np.sort(offline[member], axis=1)).all(axis=1)
    assert same.mean() > 0.9
    assert (answers[member] == offline[member]).mean() > 0.9


def test_the_rules_limit_items_of_a_category_only_when_they_are_on(learned: Learned) -> None:
    category = learned.ground.moments.catalogue.category
    most = {
        name: max(np.bincount(category[row[row >= 0]]).max() for row in rows)
        for name, rows in learned.served.lists.items()
    }
    assert most[RULES_ON] <= Rules().max_per_category < most[RULES_OFF]
    assert (learned.served.lists[RULES_ON] != learned.served.lists[RULES_OFF]).any()


def test_neutral_rules_switch_every_rule_off_that_is_on_by_default() -> None:
    neutral = Rules.read(NEUTRAL_RULES)
    assert neutral.strength == neutral.diversity == neutral.new_share == 0.0
    assert neutral.max_per_category >= 500
    lists = (neutral.max_in, neutral.pinned, neutral.boosted, neutral.never_items, neutral.never_categories)
    assert not any(lists)


def test_nothing_touched_unpublished_or_forbidden_is_answered(learned: Learned) -> None:
    catalogue = learned.ground.moments.catalogue
    for rows in learned.served.lists.values():
        for query, answer in enumerate(rows):
            assert (answer >= 0).all()
            assert learned.served.allowed(query)[answer].all()
            assert not np.isin(answer, learned.asked.touched[query]).any()
    assert (catalogue.published_at > learned.test).any()
    late = published_by(catalogue, learned.test)
    assert not late.in_stock[catalogue.published_at > learned.test].any()


def changed(learned: Learned, folder: Path, chosen: np.ndarray) -> Ground:
    """The ground of the same data with other items, turned round, in the chosen events (n,)."""
    old = learned.ground.moments.dataset
    folder.mkdir()
    for path in (old.users, old.items):
        shutil.copyfile(path, folder / path.name)
    events = pq.read_table(old.events)
    items = events["item_id"].to_numpy(zero_copy_only=False)
    items[chosen] = items[chosen][::-1]
    place = events.column_names.index("item_id")
    pq.write_table(events.set_column(place, "item_id", pa.array(items, pa.string())), folder / old.events.name)
    return lay_ground(Dataset.open(folder), CONFIG)


def seconds_of(dataset: Dataset) -> np.ndarray:
    times = pq.read_table(dataset.events, columns=["timestamp"])["timestamp"].combine_chunks()
    return pc.divide(times.cast(pa.int64()), 1_000_000).to_numpy()


def test_an_event_of_the_test_window_changes_nothing_in_the_release(learned: Learned, tmp_path: Path) -> None:
    seconds = seconds_of(learned.ground.moments.dataset)
    for name, chosen in (("later", seconds >= learned.test), ("earlier", seconds < learned.test)):
        ground = changed(learned, tmp_path / name, np.flatnonzero(chosen))
        users = users_at(ground, learned.asked.requests.user, learned.test)
        write_release(tmp_path / f"{name} release", learned.models, ground, learned.towers, users, learned.test)
    same = fingerprints(learned.folder / "on")
    assert fingerprints(tmp_path / "later release") == same
    differs = {n for n, f in fingerprints(tmp_path / "earlier release").items() if f != same[n]}
    assert {"index.faiss", "items/features.npy", "users/features.npy", "users/history.npy"} <= differs
    assert MANIFEST not in differs


def test_redis_has_no_say(learned: Learned, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    known = bystanders(learned.ground, learned.users, learned.asked.touched)
    pipeline = Pipeline.open(learned.folder / "on", known)
    part = learned.asked.requests.take(np.flatnonzero(learned.users.users[:, 4] >= 0)[:5])
    answer = pipeline(**inputs(part, learned.ground) | {"record": np.ones((5, 1), bool)})
    assert answer["degraded"].ravel().tolist() == [b""] * 5
    again = pipeline(**inputs(part, learned.ground))
    assert (again["item_id"] == answer["item_id"]).all()  # nothing was remembered as shown


def test_who_is_no_member_yet_is_a_stranger(learned: Learned) -> None:
    users = learned.users
    rows = users.users.copy()
    rows[0, 4], rows[1, 4] = -1.0, np.nan
    known = bystanders(learned.ground, replace(users, users=rows), learned.asked.touched)
    names = [learned.ground.moments.known_users.ids[user] for user in users.requests.user[:3].tolist()]
    later, undated, nobody = known.read([*names[:2], "somebody else"], [0, 0, 0], 1)
    assert later.row is None
    assert undated.row is not None
    assert nobody.row is None
    assert nobody.shown == ()


def test_requests_carry_what_is_known_of_them(learned: Learned) -> None:
    ground = learned.ground
    codes = Requests(np.array([1, 0]), np.array([10, 20]), np.array([0, -1]), np.array([-1, 0]))
    made = inputs(codes, ground)
    assert [u.decode() for u in made["user_id"][:, 0]] == [ground.moments.known_users.ids[i] for i in (1, 0)]
    assert made["device"].ravel().tolist() == [b"mobile", b""]
    assert made["region"].ravel().tolist() == [b"", ground.moments.vocabulary.regions[0].encode()]
    assert made["timestamp"].ravel().tolist() == [10, 20]
    assert not made["record"].any()
