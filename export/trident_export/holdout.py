"""Other ways to hold events out than by date: each user's last share, or any events at random."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trident_export.data.dataset import Dataset
from trident_export.event_log import Log, Requests


def last_share(log: Log, share: float, users: int) -> np.ndarray:
    """For each user the second from which on the last `share` of the events is held out: (users,) int64.

    Events of one second stay together, and those of a user's first second are never held out. A user without events,
    or with events of one second alone, has the second after the end.
    """
    cuts = np.full(users, log.time.max(initial=0) + 1, np.int64)
    known, begins, counts = np.unique(log.user, return_index=True, return_counts=True)
    at = begins + np.minimum(np.ceil((1 - share) * counts).astype(np.int64), counts - 1)
    cut = log.time[at]
    first = log.time[begins]
    later = np.array([_next_second(log.time[b : b + n], f) for b, n, f in zip(begins, counts, first, strict=True)])
    chosen = np.where(cut > first, cut, later)
    cuts[known] = np.where(chosen >= 0, chosen, cuts[known])
    return cuts


def _next_second(times: np.ndarray, first: int) -> int:
    after = times[times > first]
    return int(after[0]) if len(after) else -1


def requests_at(log: Log, cuts: np.ndarray) -> Requests:
    """One request per user, at his first event from his second in `cuts` (users,) on."""
    later = np.flatnonzero(log.time >= cuts[log.user])
    return Requests.at(log, later[np.unique(log.user[later], return_index=True)[1]])


def without_pairs(dataset: Dataset, folder: Path, pairs: set[tuple[str, str]]) -> Dataset:
    """The dataset without all events of these pairs of user and item, written to `folder`."""
    events = pq.read_table(dataset.events)
    names = zip(events["user_id"].to_pylist(), events["item_id"].to_pylist(), strict=True)
    return _written(dataset, folder, events, np.array([pair not in pairs for pair in names], bool))


def until(dataset: Dataset, folder: Path, users: list[str], cuts: np.ndarray) -> Dataset:
    """The dataset with the events of each of `users` before his second in `cuts` alone, written to `folder`."""
    events = pq.read_table(dataset.events)
    user = pc.index_in(events["user_id"], pa.array(users, pa.string())).to_numpy()
    second = events["timestamp"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000
    return _written(dataset, folder, events, second < cuts[user])


def _written(dataset: Dataset, folder: Path, events: pa.Table, keep: np.ndarray) -> Dataset:
    folder.mkdir(parents=True, exist_ok=True)
    left = Dataset(folder)
    pq.write_table(events.filter(pa.array(keep)), left.events)
    shutil.copyfile(dataset.users, left.users)
    shutil.copyfile(dataset.items, left.items)
    return left
