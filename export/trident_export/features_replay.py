"""Requests of every kind, and the rows that training would have made of them from what a release holds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from trident.contract import CANDIDATES, DEVICES, USER_ENCODER, USER_TOWER
from trident.features.clock import advance
from trident.features.context import context_rows, device_codes
from trident.onnx import OnnxModel
from trident.release import Release
from trident.search import ItemIndex
from trident.taste import pool
from trident.users import UserRows
from trident_export.data.dataset import Dataset
from trident_export.event_log import UNKNOWN, Requests
from trident_export.features import default_user_row, item_rows, user_rows
from trident_export.moments import ItemClock, Scene, matrices

NOBODY = b"nobody-%d"
DAYS = 120
"""How long after the release the latest request is."""
_DAY = 86_400


@dataclass(frozen=True)
class Replay:
    """Requests as the public endpoint takes them, (q,) each; `user` is the row in the release's user list or -1."""

    user: np.ndarray
    user_id: list[bytes]
    device: list[str]
    region: list[str]
    time: np.ndarray  # unix seconds, 0 for now

    def __len__(self) -> int:
        return len(self.user)

    def part(self, rows: slice) -> Replay:
        """Some of the requests."""
        return Replay(*(getattr(self, f.name)[rows] for f in fields(self)))


def draw(release: Release, users: UserRows, count: int, seed: int) -> Replay:
    """Draw requests: nine of ten by known users; any device and region or none; before, at, after `as_of` and now."""
    rng = np.random.default_rng(seed)
    user = rng.integers(len(users), size=count) if len(users) else np.full(count, UNKNOWN)
    user[rng.random(count) < 0.1] = UNKNOWN
    ids = [users.ids[row] if row >= 0 else NOBODY % n for n, row in enumerate(user.tolist())]
    time = release.manifest.as_of + rng.integers(-_DAY, DAYS * _DAY, count)
    kind = rng.random(count)
    time[kind < 0.1] = release.manifest.as_of
    time[kind > 0.9] = 0
    regions = ["", _unseen(release.vocabulary.regions), *_codes(release.vocabulary.regions)]
    return Replay(user, ids, _choices(["", *DEVICES], rng, count), _choices(regions, rng, count), time)


def _choices(values: Sequence[str], rng: np.random.Generator, count: int) -> list[str]:
    return [values[n] for n in rng.integers(len(values), size=count).tolist()]


def _codes(regions: Sequence[str]) -> list[str]:
    return [region for region in regions if re.fullmatch("[A-Z]{2}", region)]


def _unseen(regions: Sequence[str]) -> str:
    """A code for private use, which no country has."""
    return next(code for code in (f"X{chr(n)}" for n in range(ord("A"), ord("Z") + 1)) if code not in regions)


@dataclass(frozen=True)
class Offline:
    """What a release says of its users and items, for the code that training uses."""

    release: Release
    users: UserRows
    user_rows: np.ndarray  # (u, 40) float32 as of the release
    default: np.ndarray  # (40,) float32
    items: ItemClock
    tower: OnnxModel
    index: ItemIndex

    @classmethod
    def open(cls, repository: Path, number: int, log: Path | None = None) -> Offline:
        """Read release `number` of a model repository.

        With `log`, the folder of the clean events that it was built from, the rows of all users and items are computed
        from the events again. Raises ReleaseError or InvalidInput when something is missing.
        """
        release = Release.open(repository / USER_ENCODER.name / str(number))
        users = UserRows.open(release.folder / "users")
        features, items = users.features, np.asarray(release.items.features)
        if log is not None:
            features, items = from_log(release, users, Dataset.open(log))
        return cls(
            release,
            users,
            features,
            default_user_row(release.vocabulary),
            ItemClock(np.array([release.manifest.as_of]), items[None]),
            OnnxModel.of(USER_TOWER, repository / USER_TOWER.name / str(number) / "model.onnx"),
            ItemIndex.served(
                repository / CANDIDATES.name / str(number) / "index.faiss",
                release.manifest.search,
                release.manifest.items,
            ),
        )

    def scene(self, replay: Replay, time: np.ndarray, liked: np.ndarray) -> Scene:
        """Users and context of the requests at `time` (q,), with what they liked last: (q, 50) item rows, -1 pads."""
        known = replay.user >= 0
        rows = np.tile(self.default, (len(replay), 1))
        rows[known] = self.user_rows[replay.user[known]]
        home = np.full(len(replay), UNKNOWN)
        home[known] = self.users.region[replay.user[known]]
        stated = np.array([region != "" for region in replay.region], bool)
        here = np.where(stated, self.release.vocabulary.codes("regions", replay.region), home)
        device = device_codes(replay.device)
        users = advance(rows, "user", time - self.release.manifest.as_of)
        requests = Requests(replay.user, time, device, here)
        return Scene(requests, users, liked, np.zeros_like(liked), context_rows(time, device, here, home))

    def matrix(self, scene: Scene, rows: np.ndarray) -> np.ndarray:
        """The ranker's rows of `scene` for item rows (q, K), -1 pads: (q, K, 120) float32."""
        return self.rows(scene, rows, np.stack([self._similarity(scene, n, row) for n, row in enumerate(rows)]))

    def rows(self, scene: Scene, rows: np.ndarray, similarity: np.ndarray) -> np.ndarray:
        """The same of a search that found the item rows (q, K) with `similarity` (q, K), NaN pads."""
        return np.concatenate([matrix for _, matrix in matrices(scene, self.items, rows, similarity)])

    def _similarity(self, scene: Scene, n: int, rows: np.ndarray) -> np.ndarray:
        """Inner products of one user with item rows (K,): (K,) float32, NaN where it pads."""
        taste = pool(scene.histories[n : n + 1], self.release.items.vectors)
        embedding = self.tower(user_features=scene.users[n : n + 1], taste=taste)["user_embedding"]
        near, there = np.full(len(rows), np.nan, np.float32), rows >= 0
        stranger = scene.requests.user[n] == UNKNOWN  # his candidates are compared once more, with popular ones
        compare = self.index.similarity if stranger else self.index.scanned
        near[there] = compare(embedding[0], rows[there])
        return near


def from_log(release: Release, users: UserRows, log: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all users and all items of a release, computed from its events: (u, 40), (n, 40) float32."""
    who, what = ([i.decode() for i in ids.take(np.arange(len(ids)))] for ids in (users.ids, release.items.ids))
    as_of, vocabulary = release.manifest.as_of, release.vocabulary
    return (
        user_rows(log, who, np.full(len(who), as_of), vocabulary),
        item_rows(log, what, np.full(len(what), as_of), vocabulary),
    )
