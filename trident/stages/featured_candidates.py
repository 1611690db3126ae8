"""Candidates with their rows for the forest: two stages in one process.

The way to another process cost more than the rows, see `docs/decisions/0012-features-are-made-where-the-search-is.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.release import Release
from trident.stages.candidates import Candidates
from trident.stages.host import Host
from trident.stages.ranking_features import RankingFeatures
from trident.stages.stage import Tensors


@dataclass
class FeaturedCandidates:
    """The search, then the features of what it found."""

    search: Candidates
    features: RankingFeatures

    @classmethod
    def open(cls, release: Release, host: Host) -> FeaturedCandidates:
        """Open both."""
        return cls(Candidates.open(release, host), RankingFeatures.open(release, host))

    def close(self) -> None:
        """End what runs beside the requests."""
        self.search.close()

    def __call__(
        self, user_features: np.ndarray, context_features: np.ndarray, request_time: np.ndarray, **asked: np.ndarray
    ) -> Tensors:
        """Inputs and outputs as in the contract of `candidates`; `asked` is what the search alone needs."""
        found = self.search(**asked)
        made = self.features(
            found["candidate_rows"], found["similarity"], user_features, context_features, request_time
        )
        return found | made
