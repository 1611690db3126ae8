from __future__ import annotations

from datetime import datetime, timezone
from hashlib import sha256
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from trident.errors import InvalidInput
from trident_export.data.dataset import Dataset
from trident_export.data.schema import EVENTS, ITEMS, USERS
from trident_export.data.synthetic import Truth, affinity, generate
from trident_export.data.validate import validate

END = datetime(2024, 6, 1, tzinfo=timezone.utc)
SIZES = {"users": 500, "items": 1_000, "events": 60_000, "days": 20}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(tmp_path_factory.mktemp("synthetic"), **SIZES, end=END)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """Columns of a dataset without defects, with codes of users and items."""
    dataset = generate(tmp_path_factory.mktemp("clean"), **SIZES, end=END, defects=False)
    table = pq.read_table(dataset.events)
    columns = {name: np.array(table[name].to_pylist()) for name in ("event_type", "device", "location")}
    columns["user"] = np.array([int(u[1:]) - 1 for u in table["user_id"].to_pylist()])
    columns["item"] = np.array([int(i[1:]) - 1 for i in table["item_id"].to_pylist()])
    columns["time"] = table["timestamp"].cast("int64").to_numpy() / 1e6
    columns["truth"] = Truth.read(dataset.folder / "truth.npz")
    columns["items"] = pq.read_table(dataset.items)
    columns["users"] = pq.read_table(dataset.users)
    return columns


def test_the_files_have_the_sizes_asked_for_and_the_columns_of_the_schema(dataset):
    assert Dataset.open(dataset.folder) == dataset
    sizes = [pq.read_metadata(dataset.path(t)).num_rows for t in (EVENTS, USERS, ITEMS)]
    assert sizes == [60_000, 500, 1_000]


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path):
    def digest(name: str, seed: int) -> str:
        folder = generate(tmp_path / name, users=50, items=200, events=2_000, days=3, seed=seed, end=END).folder
        return "".join(sha256(p.read_bytes()).hexdigest() for p in sorted(folder.glob("*.parquet")))

    assert digest("a", 1) == digest("b", 1)
    assert digest("a", 1) != digest("c", 2)


def test_validation_finds_what_was_planted_reason_by_reason(dataset, tmp_path):
    planted = Truth.read(dataset.truth).planted
    report = validate(dataset, tmp_path)
    assert {k: v for k, v in report.rejected.items() if v} == planted
    assert all(count > 0 for count in planted.values())
    assert report.clean == 60_000 - sum(planted.values())
    assert report.dataset.truth is not None


def test_without_defects_every_event_is_clean(tmp_path):
    dataset = generate(tmp_path / "in", users=100, items=300, events=8_000, days=7, end=END, defects=False)
    assert validate(dataset, tmp_path / "out").quarantined == 0


def test_events_lie_in_the_days_before_the_end(clean):
    assert clean["time"].max() < END.timestamp()
    assert clean["time"].min() >= END.timestamp() - 20 * 86_400
    assert len(np.unique(clean["time"] // 86_400)) == 20


def test_the_end_defaults_to_the_start_of_today(tmp_path):
    dataset = generate(tmp_path, users=20, items=100, events=500, days=2, defects=False)
    newest = pc.max(pq.read_table(dataset.events)["timestamp"]).as_py()
    age = datetime.now(timezone.utc) - newest
    assert 0 <= age.total_seconds() < 2 * 86_400


def test_a_click_follows_a_view_of_the_same_item_by_the_same_user(clean):
    views, rest = {}, []
    order = np.argsort(clean["time"], kind="stable")
    for kind, user, item, time in zip(*(clean[c][order] for c in ("event_type", "user", "item", "time")), strict=True):
        if kind == "view":
            views.setdefault((user, item), time)
        else:
            rest.append((user, item) in views and views[user, item] < time)
    assert np.mean(rest) > 0.995  # a day's quota may cut a session after its events went on


def test_the_true_click_probability_is_the_rate_of_clicks(clean):
    truth, view, click = clean["truth"], clean["event_type"] == "view", clean["event_type"] == "click"
    codes = np.array([("mobile", "desktop", "tablet", "tv").index(d) for d in clean["device"]])
    logit = truth.click_logit(clean["user"][view], clean["item"][view], clean["time"][view].astype(int), codes[view])
    expected = 1 / (1 + np.exp(-logit))
    assert click.sum() / view.sum() == pytest.approx(expected.mean(), abs=0.01)
    assert 0.08 < expected.mean() < 0.35
    pairs = set(zip(clean["user"][click], clean["item"][click], strict=True))
    clicked = np.array([p in pairs for p in zip(clean["user"][view], clean["item"][view], strict=True)])
    low, high = expected < np.quantile(expected, 0.2), expected > np.quantile(expected, 0.8)
    assert clicked[high].mean() > 4 * clicked[low].mean()


def test_affinity_is_a_probability_per_user_and_item_and_differs_between_users(clean):
    everything = affinity(clean["truth"], ["u1", "u2"])
    assert everything.shape == (2, 1_000)
    assert everything.dtype == np.float32
    assert ((everything > 0) & (everything < 1)).all()
    assert np.corrcoef(everything)[0, 1] < 0.95
    some = affinity(clean["truth"], ["u2"], ["i7", "i3"])
    assert np.allclose(some, everything[1:, [6, 2]])
    with pytest.raises(InvalidInput, match="expected ids u1 to u500, got 'u501'"):
        affinity(clean["truth"], ["u501"])


def test_popularity_has_a_long_tail(clean):
    counts = np.sort(np.bincount(clean["item"], minlength=1_000))[::-1]
    assert counts[:100].sum() > 0.35 * counts.sum()
    assert (counts > 0).mean() > 0.8


def test_nobody_sees_an_item_before_it_is_published_or_joined(clean):
    published = clean["truth"].published_at[clean["item"]]
    joined = clean["users"]["member_since"].cast("int64").to_numpy()[clean["user"]] / 1e6
    assert (clean["time"] >= published).all()
    assert (clean["time"] >= joined).all()
    assert ((clean["truth"].published_at > clean["truth"].start).mean()) == pytest.approx(0.12, abs=0.04)


def test_nobody_sees_what_age_or_region_forbid(clean):
    blocked = [set(b) for b in clean["items"]["blocked_regions"].to_pylist()]
    limit, age = np.array(clean["items"]["age_limit"].to_pylist()), clean["users"]["age"].to_pylist()
    for user, item, place in zip(clean["user"], clean["item"], clean["location"], strict=True):
        assert place not in blocked[item]
        assert age[user] is None or age[user] >= limit[item]


def test_items_have_the_states_that_rules_need(clean):
    items = clean["items"]
    assert 0.9 < np.mean(items["in_stock"].to_pylist()) < 0.99
    assert 0 < np.mean(items["flagged"].to_pylist()) < 0.03
    assert set(items["age_limit"].to_pylist()) == {0, 12, 16, 18}
    assert len(set(items["category"].to_pylist())) == 24
    assert any(items["blocked_regions"].to_pylist())


def test_days_have_their_hours_and_weekends_other_devices(clean):
    hours = np.bincount((clean["time"] % 86_400 // 3_600).astype(int), minlength=24)
    assert hours[20] > 3 * hours[4]
    weekend = ((clean["time"] // 86_400 + 3) % 7) >= 5
    big = np.isin(clean["device"], ("tablet", "tv"))
    assert big[weekend].mean() > 1.3 * big[~weekend].mean()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"users": 1}, "users: expected 10 to"),
        ({"items": 5}, "items: expected 100 to"),
        ({"days": 601}, "days: expected 1 to 600, got 601"),
        ({"users": 10, "days": 2}, "at most 40 events per user and day, got 3000"),
    ],
)
def test_sizes_that_make_no_marketplace_are_refused(tmp_path: Path, sizes, message):
    with pytest.raises(InvalidInput, match=message):
        generate(tmp_path, **(SIZES | sizes))
