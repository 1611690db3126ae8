"""What was known of users and items at moments of the log: features, histories, context, and the ranker's matrix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from ibis.backends import BaseBackend

from trident.contract import FEATURES
from trident.features.clock import advance
from trident.features.context import context_rows
from trident.features.matrix import feature_matrix
from trident.features.vocabulary import Vocabulary
from trident_export.catalogue import Catalogue, Users
from trident_export.data.dataset import Dataset
from trident_export.event_log import Requests
from trident_export.features import dated_histories, item_rows, user_rows

REQUESTS_AT_ONCE = 64


@dataclass(frozen=True)
class Scene:
    """Users as of their requests, from events of strictly earlier seconds; arrays (q, …)."""

    requests: Requests
    users: np.ndarray  # (q, 40) float32
    histories: np.ndarray  # (q, 50) int64 item rows, newest first, -1 pads
    history_times: np.ndarray  # (q, 50) int64 unix second of the newest event of each, 0 pads and unknown ones
    context: np.ndarray  # (q, 20) float32

    def __len__(self) -> int:
        return len(self.requests)


@dataclass(frozen=True)
class ItemClock:
    """Item rows of some moments; between two of them the older one is advanced, as it is between two releases."""

    times: np.ndarray  # (s,) int64 unix seconds, ascending
    rows: np.ndarray  # (s, n, 40) float32

    def at(self, items: np.ndarray, time: np.ndarray) -> np.ndarray:
        """Rows of `items` (q, K), all valid, as of `time` (q,): (q, K, 40) float32."""
        snapshot = np.maximum(np.searchsorted(self.times, time, side="right") - 1, 0)
        rows = self.rows[snapshot[:, None], items].reshape(-1, self.rows.shape[2])
        passed = np.repeat(time - self.times[snapshot], items.shape[1])
        return advance(rows, "item", passed).reshape(*items.shape, -1)

    def all_at(self, time: int) -> np.ndarray:
        """Rows of all items as of one moment: (n, 40) float32."""
        return self.at(np.arange(self.rows.shape[1])[None], np.array([time]))[0]


@dataclass(frozen=True)
class Moments:
    """The features of one dataset, asked for by row and time."""

    dataset: Dataset
    vocabulary: Vocabulary
    known_users: Users
    catalogue: Catalogue
    engine: str | BaseBackend = "duckdb"  # computes user and item rows

    def scene(self, requests: Requests) -> Scene:
        """Users, their histories and the context of `requests`."""
        ids = [self.known_users.ids[user] for user in requests.user.tolist()]
        home = self.known_users.region[requests.user]
        here = np.where(requests.region < 0, home, requests.region)
        return Scene(
            requests,
            user_rows(self.dataset, ids, requests.time, self.vocabulary, self.engine),
            *dated_histories(self.dataset, ids, requests.time, self.catalogue.rows),
            context_rows(requests.time, requests.device, here, home),
        )

    def items(self, times: np.ndarray) -> ItemClock:
        """Rows of all items at each of `times` (s,) unix seconds."""
        times = np.unique(times)
        ids, n = self.catalogue.ids, len(self.catalogue)
        rows = item_rows(self.dataset, ids * len(times), np.repeat(times, n), self.vocabulary, self.engine)
        return ItemClock(times, rows.reshape(len(times), n, -1))


def matrices(
    scene: Scene, items: ItemClock, rows: np.ndarray, similarity: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """The ranker's rows behind requests, some requests at a time: their slice, and (their number, W, 120) float32.

    `rows` (q, W) item rows, -1 pads; `similarity` (q, W), NaN where it pads.
    """
    for start in range(0, len(scene), REQUESTS_AT_ONCE):
        part = slice(start, min(start + REQUESTS_AT_ONCE, len(scene)))
        wanted = items.at(np.maximum(rows[part], 0), scene.requests.time[part])
        matrix = feature_matrix(scene.users[part], wanted, scene.context[part], similarity[part])
        yield part, matrix.reshape(*rows[part].shape, FEATURES)
