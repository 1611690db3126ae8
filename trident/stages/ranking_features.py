"""Item rows → the (rows, 120) matrix that the forest was trained on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from trident.contract import CONTEXT_FEATURES, ITEM_FEATURES, USER_FEATURES
from trident.features.clock import advanced_items
from trident.features.matrix import feature_matrix
from trident.release import Release
from trident.stages.counted import EVERY, count_missing
from trident.stages.host import Host
from trident.stages.impressions import feature_sample
from trident.stages.stage import Tensors


@dataclass
class RankingFeatures:
    """User, item, context and cross features of every candidate."""

    release: Release
    share: float = 0.0  # of the users whose rows go on to be logged
    calls: int = 0
    _chance: np.random.Generator = field(default_factory=np.random.default_rng)

    @classmethod
    def open(cls, release: Release, host: Host) -> RankingFeatures:
        """Map the item columns, and compile: neither shall fail or wait in the first request."""
        stage = cls(release, 0.0 if host.stand_in else host.settings.feature_rows_share)
        user, context = (np.zeros((1, size), np.float32) for size in (USER_FEATURES, CONTEXT_FEATURES))
        stage(np.zeros((1, 1), np.int64), np.zeros((1, 1), np.float32), user, context, np.zeros((1, 1), np.int64))
        return stage

    def __call__(
        self,
        candidate_rows: np.ndarray,
        similarity: np.ndarray,
        user_features: np.ndarray,
        context_features: np.ndarray,
        request_time: np.ndarray,
    ) -> Tensors:
        """`feature_matrix` and `feature_sample` of the candidates, as in the contract of `candidates`."""
        users, k = candidate_rows.shape
        rows = candidate_rows.ravel()
        elapsed = np.repeat(request_time[:, 0] - self.release.manifest.as_of, k)
        items = advanced_items(self.release.items.features, rows, elapsed).reshape(users, k, ITEM_FEATURES)
        matrix = feature_matrix(user_features, items, context_features, similarity)
        self.calls += 1
        if self.calls % EVERY == 1:
            count_missing(matrix[:k])
        return {
            "feature_matrix": matrix,
            "feature_sample": feature_sample(matrix, self._chance.random(users) < self.share),
        }
