from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from trident_export.data.dataset import Dataset
from trident_export.data.synthetic import generate
from trident_export.event_log import Log
from trident_export.holdout import last_share, requests_at, until, without_pairs


def log(*times: list[int]) -> Log:
    """One user per list of times."""
    user = np.repeat(np.arange(len(times)), [len(t) for t in times])
    time = np.array([second for each in times for second in each])
    return Log.of(user, np.arange(len(user)), time, np.full(len(user), "view"))


def test_the_last_share_of_each_user_is_held_out() -> None:
    cuts = last_share(log([10, 20, 30, 40, 50], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), 0.2, 2)
    assert cuts.tolist() == [50, 9]


@pytest.mark.parametrize(
    ("times", "cut"), [([10, 20, 20, 20, 20], 20), ([10, 10, 10, 10, 30], 30), ([10, 10], 11), ([10], 11), ([], 11)]
)
def test_a_second_is_never_cut_in_two_and_the_first_never_held_out(times: list[int], cut: int) -> None:
    last = 30 if 30 in times or 20 in times else 10
    cuts = last_share(log(times, [last]), 0.2, 2)
    assert cuts[0] == (cut if cut <= last else last + 1)


def test_requests_are_at_the_first_held_out_event() -> None:
    events = log([10, 20, 30], [5], [7, 8])
    requests = requests_at(events, np.array([20, 99, 8]))
    assert requests.user.tolist() == [0, 2]
    assert requests.time.tolist() == [20, 8]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return generate(tmp_path_factory.mktemp("raw"), users=20, items=100, events=400, days=5, seed=1)


def test_a_dataset_until_the_cuts_has_no_later_event(dataset: Dataset, tmp_path: Path) -> None:
    events = pq.read_table(dataset.events).drop_null()
    clean = Dataset(tmp_path)
    for table in (dataset.users, dataset.items):
        (tmp_path / table.name).write_bytes(table.read_bytes())
    pq.write_table(events, clean.events)
    users = sorted(set(events["user_id"].to_pylist()))
    second = events["timestamp"].combine_chunks().cast("int64").to_numpy() // 1_000_000
    cuts = np.full(len(users), int(np.median(second)))
    cuts[0] = 0
    left = until(clean, tmp_path / "left", users, cuts)
    kept = pq.read_table(left.events)
    expected = (second < np.median(second).astype(int)) & (np.array(events["user_id"].to_pylist()) != users[0])
    assert kept.num_rows == expected.sum() > 0


def test_hidden_pairs_leave_with_all_their_events(dataset: Dataset, tmp_path: Path) -> None:
    events = pq.read_table(dataset.events).drop_null().to_pylist()
    pair = (events[0]["user_id"], events[0]["item_id"])
    left = pq.read_table(without_pairs(dataset, tmp_path, {pair}).events).to_pylist()
    assert pair not in {(e["user_id"], e["item_id"]) for e in left}
    assert len(left) == sum((e["user_id"], e["item_id"]) != pair for e in pq.read_table(dataset.events).to_pylist())
