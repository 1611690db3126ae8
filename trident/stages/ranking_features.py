"""Item rows → the (rows, 120) matrix that the forest was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.contract import ITEM_FEATURES, NO_ITEM
from trident.features.clock import advance
from trident.features.matrix import feature_matrix
from trident.release import Release
from trident.stages.stage import Infer, Tensors


@dataclass
class RankingFeatures:
    """User, item, context and cross features of every candidate."""

    release: Release

    @classmethod
    def open(cls, release: Release, infer: Infer) -> RankingFeatures:
        """Map the item columns."""
        release.items.features[:1]  # fail at load, not at the first request
        return cls(release)

    def __call__(
        self,
        candidate_rows: np.ndarray,
        similarity: np.ndarray,
        user_features: np.ndarray,
        context_features: np.ndarray,
        request_time: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `ranking_features`."""
        users, k = candidate_rows.shape
        rows = candidate_rows.ravel()
        items = self.release.items.features[np.maximum(rows, 0)]
        elapsed = np.repeat(request_time[:, 0] - self.release.manifest.as_of, k)
        items = advance(items, "item", elapsed)
        items[rows == NO_ITEM] = np.nan
        items = items.reshape(users, k, ITEM_FEATURES)
        return {"feature_matrix": feature_matrix(user_features, items, context_features, similarity)}
