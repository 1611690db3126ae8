"""What the quality gates measure: recall of the search, and both releases asked the same in one process."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from trident.contract import CANDIDATES_PER_USER, DEVICES, EMBEDDING_DIM, NO_ITEM, USER_ENCODER, USER_TOWER
from trident.errors import ReleaseError
from trident.onnx import OnnxModel
from trident.pipeline import Pipeline
from trident.release import Release
from trident.rules import Rules
from trident.search import ItemIndex
from trident.settings import Settings
from trident.taste import pool
from trident.users import UserRows, read_default
from trident_export.bystanders import Bystanders, of_release
from trident_export.publishing.golden import STRANGER, ask, items_of
from trident_export.publishing.soundness.index import open_index, vectors_of

CHUNK = 1 << 16  # items that are compared at once: 32 MB
TIE = 1e-6  # similarities this close to the last of the nearest count as found
OTHERS = 1_000  # items that stand for all others
WARM_UP = 3  # requests of each release before the clock counts
ROUNDS = 3  # of which the calmest counts: whatever else the machine does makes both slower, not always alike


def recall(release: Release, queries: int) -> float:
    """Share of the exact 500 nearest items, by the vectors of the index, that its search finds.

    Asked for the embeddings of users of the release, without a filter. Raises ReleaseError for vectors that are not
    finite.
    """
    index, asked = open_index(release), user_embeddings(release, queries)
    items = release.manifest.items
    k = min(CANDIDATES_PER_USER, items)
    everything = np.full(-(-items // 8), 0xFF, np.uint8)
    if items % 8:
        everything[-1] = (1 << items % 8) - 1
    farthest = _exact(index, asked, items, k)[:, -1]
    found = 0
    for query, last in zip(asked, farthest.tolist(), strict=True):
        rows, _ = index.search(query, k, everything, items)
        rows = np.unique(rows[rows != NO_ITEM])
        found += int((vectors_of(index, rows) @ query >= last - TIE).sum()) if len(rows) else 0
    return min(found / (k * len(asked)), 1.0)


def closeness(release: Release, count: int) -> float | None:
    """How much nearer users are to the items of their history than to others, as a mean of similarities.

    About 0 where the tower and the index are of different spaces; None without users who have a history.
    """
    index, users = open_index(release), UserRows.open(release.folder / "users")
    histories = np.array(users.history[spread(len(users), count)])
    items = vectors_of(index, spread(release.manifest.items, OTHERS))
    found = []
    for query, history in zip(user_embeddings(release, count), histories, strict=False):
        if len(own := np.unique(history[history >= 0])):
            found.append(float((vectors_of(index, own) @ query).mean() - (items @ query).mean()))
    return float(np.mean(found)) if found else None


def _exact(index: ItemIndex, queries: np.ndarray, items: int, k: int) -> np.ndarray:
    """Similarities of the k nearest items of each query, best first: (Q, k) float32, by comparing with all."""
    best = np.empty((len(queries), 0), np.float32)
    for start in range(0, items, CHUNK):
        vectors = vectors_of(index, np.arange(start, min(start + CHUNK, items)))
        if not np.isfinite(vectors).all():
            raise ReleaseError("index.faiss: vectors hold NaN or infinite numbers")
        near, _ = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
        best = -np.sort(-np.concatenate([best, near], axis=1), axis=1)[:, :k]
    return best


def user_embeddings(release: Release, count: int) -> np.ndarray:
    """Embeddings of at most `count` users of the release as of its moment, or of an unknown one: (c, 128) float32."""
    users = UserRows.open(release.folder / "users")
    tower = OnnxModel.of(USER_TOWER, release.folder / "user_tower" / "model.onnx")
    rows = spread(len(users), count)
    features, taste = np.array(users.features[rows]), pool(np.array(users.history[rows]), release.items.vectors)
    if not len(rows):
        features = read_default(release.folder / "users" / "default.npy")[None]
        taste = np.zeros((1, EMBEDDING_DIM), np.float32)
    return np.ascontiguousarray(tower(user_features=features, taste=taste)[USER_TOWER.outputs[0].name])


def spread(n: int, count: int) -> np.ndarray:
    """At most `count` of the rows 0 to n − 1, evenly spread: int64, rising."""
    return np.unique(np.linspace(0, n - 1, min(n, count)).astype(np.int64)) if n else np.empty(0, np.int64)


@dataclass(frozen=True)
class SideBySide:
    """The same requests to the new and to the running release."""

    new_ms: float  # median of the calmest round
    running_ms: float
    changed: float  # mean share of the 20 best items that the running release did not give


def side_by_side(release: Release, repository: Path, number: int, users: int) -> SideBySide:
    """Ask both releases for `users` users of the new one, by turns, as of the later of their moments."""
    rows = UserRows.open(release.folder / "users")
    names = [name.decode() for name in rows.ids.take(spread(len(rows), users))] or [STRANGER]
    running = Release.open(repository / USER_ENCODER.name / str(number))
    time_asked = max(release.manifest.as_of, running.manifest.as_of, 1)
    requests: list[dict[str, Any]] = [
        {"user_id": name, "device": ("", *DEVICES)[n % (1 + len(DEVICES))], "timestamp": time_asked}
        for n, name in enumerate(names)
    ]
    with (
        _closing(Pipeline.open(release.folder, users_of(release, names))) as new,
        _closing(Pipeline.of_repository(repository, number, Settings(), users=users_of(running, names))) as old,
    ):
        return _asked_by_turns(new, old, requests)


def users_of(release: Release, names: Sequence[str]) -> Bystanders:
    """The users of a release, or of the version folder of `user_encoder`, that are named; the others are strangers."""
    users = UserRows.open(release.folder / "users")
    wanted, rows = {name.encode() for name in names}, []
    for start in range(0, len(users), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(users)))
        rows += [row for row, name in zip(part.tolist(), users.ids.take(part), strict=True) if name in wanted]
    return of_release(release, users, Rules.read(release.folder / "rules.toml"), rows)


def _asked_by_turns(new: Pipeline, running: Pipeline, requests: Sequence[dict[str, Any]]) -> SideBySide:
    pipelines = {"new": new, "running": running}
    for request in requests[:WARM_UP]:
        _answers(pipelines, request)
    medians, changed = [], []
    for number in range(ROUNDS):
        spent = []
        for n, request in enumerate(requests):
            answers, times = _answers(dict(list(pipelines.items())[:: 1 if n % 2 else -1]), request)
            spent.append([times["new"], times["running"]])
            if number == 0:
                changed.append(
                    np.isin(answers["new"], answers["running"], invert=True).mean() if answers["new"] else 1.0
                )
        medians.append(np.median(spent, axis=0))
    new_ms, running_ms = np.min(medians, axis=0).tolist()
    return SideBySide(new_ms, running_ms, float(np.mean(changed)))


def _answers(
    pipelines: Mapping[str, Pipeline], request: Mapping[str, Any]
) -> tuple[dict[str, list[str]], dict[str, float]]:
    """By pipeline, asked in this order: the items, and how many milliseconds they took."""
    answers, times = {}, {}
    for name, pipeline in pipelines.items():
        started = time.perf_counter()
        answers[name] = items_of(ask(pipeline, **request))
        times[name] = 1000 * (time.perf_counter() - started)
    return answers, times


@contextmanager
def _closing(pipeline: Pipeline) -> Iterator[Pipeline]:
    try:
        yield pipeline
    finally:
        pipeline.close()
