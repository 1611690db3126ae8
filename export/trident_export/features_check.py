"""Served rows against offline rows: the same requests through a running server and through the code of training."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trident.contract import FEATURES
from trident.errors import InvalidInput, ReleaseError
from trident.features.registry import ALL
from trident.repository import serving_release
from trident_export.data.progress import advance, progress_bar
from trident_export.features_replay import Offline, Replay, draw
from trident_export.features_served import ServedSteps

AT_ONCE = 32


@dataclass
class Differences:
    """Per feature, (120,) each, over all rows that were compared."""

    largest: np.ndarray = field(default_factory=lambda: np.zeros(FEATURES))  # where both sides have a number
    rows: np.ndarray = field(default_factory=lambda: np.zeros(FEATURES, np.int64))  # that differ at all
    missing: np.ndarray = field(default_factory=lambda: np.zeros(FEATURES, np.int64))  # rows with one NaN
    compared: int = 0

    def add(self, served: np.ndarray, offline: np.ndarray) -> None:
        """Compare rows (R, 120) float32; NaN equals NaN alone."""
        one_sided = np.isnan(served) != np.isnan(offline)
        apart = np.abs(served.astype(np.float64) - offline.astype(np.float64))
        apart[(served == offline) | np.isnan(apart)] = 0.0  # the first for infinities
        self.largest = np.maximum(self.largest, apart.max(axis=0, initial=0.0))
        self.rows += ((apart > 0) | one_sided).sum(axis=0)
        self.missing += one_sided.sum(axis=0)
        self.compared += len(served)

    def beyond(self, tolerance: float) -> list[str]:
        """The features that differ by more than `tolerance`."""
        return [f.name for f, d, m in zip(ALL, self.largest, self.missing, strict=True) if d > tolerance or m]

    def by_feature(self) -> dict[str, dict[str, float]]:
        """The differences as JSON can hold them."""
        columns = zip(ALL, self.largest.tolist(), self.rows.tolist(), self.missing.tolist(), strict=True)
        return {f.name: {"difference": d, "rows": r, "missing": m} for f, d, r, m in columns}


@dataclass(frozen=True)
class FeaturesReport:
    """What a check found."""

    release: int
    requests: int
    moved_on: int  # requests by users whose history is no longer the release's
    tolerance: float
    differences: Differences

    @property
    def wrong(self) -> list[str]:
        """The features that differ by more than the tolerance."""
        return self.differences.beyond(self.tolerance)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        return {
            "release": self.release,
            "requests": self.requests,
            "rows": self.differences.compared,
            "moved_on": self.moved_on,
            "tolerance": self.tolerance,
            "wrong": self.wrong,
            "features": self.differences.by_feature(),
        }


def check_features(
    repository: Path,
    url: str,
    redis_url: str,
    *,
    requests: int = 1000,
    seed: int = 0,
    tolerance: float = 0.0,
    log: Path | None = None,
) -> FeaturesReport:
    """Replay requests through the server at `url` (gRPC, "host:port") and compare its rows with the offline ones.

    `redis_url` is the Redis that the server asks, `log` as in `Offline.open`. The candidates are the server's;
    similarity and all features are computed anew, of the tastes that Redis holds. Raises Unavailable when the server
    does not answer.
    """
    if requests < 1:
        raise InvalidInput(f"features check: expected 1 request or more, got {requests}")
    number = serving_release(repository)
    if number is None:
        raise ReleaseError(f"no release in '{repository}': `trident publish` puts one there")
    offline = Offline.open(repository, number, log)
    replay, found, moved_on = draw(offline.release, offline.users, requests, seed), Differences(), 0
    with ServedSteps(url, redis_url, offline.release) as server, progress_bar("requests", requests) as progress:
        for start in range(0, requests, AT_ONCE):
            part = replay.part(slice(start, start + AT_ONCE))
            moved_on += _compare(server, offline, part, found)
            advance(progress, len(part))
    return FeaturesReport(number, requests, moved_on, tolerance, found)


def _compare(server: ServedSteps, offline: Offline, replay: Replay, found: Differences) -> int:
    """Ask and compare some requests; returns how many came from users who have liked something since the release."""
    liked = np.stack([server.liked(user) for user in replay.user_id])
    asked = zip(replay.user_id, replay.device, replay.region, replay.time.tolist(), strict=True)
    served = [server.ask(*request) for request in asked]
    time = np.concatenate([tensors["request_time"][:, 0] for tensors in served])
    rows = np.concatenate([tensors["candidate_rows"] for tensors in served])
    expected = offline.matrix(offline.scene(replay, time, liked), rows)
    found.add(np.concatenate([tensors["feature_matrix"] for tensors in served]), expected.reshape(-1, FEATURES))
    known = replay.user >= 0
    return int((liked[known] != offline.users.history[replay.user[known]]).any(axis=1).sum())
