"""The nearest items of each user's embedding among those that the user may see and was not shown lately."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trident.bitmap import are_set, set_rows, without
from trident.contract import CANDIDATES, CANDIDATES_PER_USER, NO_ITEM, SEARCH_FUNNEL, UNKNOWN_REGION, degraded_bit
from trident.errors import ReleaseError
from trident.release import Release
from trident.rules import Rules
from trident.rules.pins import Pins
from trident.safety import Safety
from trident.search import ItemIndex
from trident.stages.counted import follow_items
from trident.stages.host import Host
from trident.stages.one_release import require_one_release
from trident.stages.probe import RecallProbe
from trident.stages.stage import Tensors

POPULAR = degraded_bit("popular_fallback")
STRANGER = degraded_bit("cold_start") | degraded_bit("user_state_unavailable")
"""Users of whom the tower knows no more than the training defaults."""
GREETING = 375
"""How many popular items of the region are candidates for a stranger: what was best on validation windows."""
STALE = degraded_bit("live_updates_stale")
PREPARED = 200
"""Kinds of viewers, by region and age bracket, whose bitmaps are made before the first request: a bit per item each."""


@dataclass
class Candidates:
    """FAISS search with the filters pushed into it."""

    safety: Safety
    index: ItemIndex
    popular: np.ndarray  # (1 + regions, p) item rows as in the item columns
    pinned: np.ndarray  # rows that are candidates wherever they may be shown
    probe: RecallProbe | None = None
    release: int = 1

    @classmethod
    def open(cls, release: Release, host: Host) -> Candidates:
        """Map the index and the item columns."""
        manifest = release.manifest
        index = ItemIndex.served(release.folder / "index.faiss", manifest.search, manifest.items)
        if host.card is not None:
            from trident.gpu_search import CardIndex

            index = CardIndex.on(index, host.card)
        rules = Rules.read(release.folder / "rules.toml")
        lists, regions = release.items.popular, len(release.vocabulary.regions)
        if len(lists) != 1 + regions:
            raise ReleaseError(f"item column 'popular': expected {1 + regions} rows, got {len(lists)}")
        safety = host.safety(release, rules)
        if host.stand_in is None:
            safety.prepare(PREPARED)
        follow_items(safety, CANDIDATES.name, manifest.release)
        probe = RecallProbe(index, host.settings.recall_probe) if index.lists > 1 and host.probes else None
        return cls(safety, index, lists, Pins.of(rules, release.items).rows, probe, manifest.release)

    def close(self) -> None:
        """Follow the item changes no longer, and end what runs beside the requests."""
        self.safety.close()
        if self.probe:
            self.probe.close()

    def __call__(
        self,
        user_embedding: np.ndarray,
        seen_rows: np.ndarray,
        viewer_region: np.ndarray,
        viewer_age: np.ndarray,
        state_flags: np.ndarray,
        encoder_release: np.ndarray,
    ) -> Tensors:
        """Inputs and outputs as in the contract of `candidates`."""
        require_one_release(CANDIDATES.name, self.release, encoder_release)
        users = len(user_embedding)
        rows = np.full((users, CANDIDATES_PER_USER), NO_ITEM, np.int64)
        similarity = np.full((users, CANDIDATES_PER_USER), np.nan, np.float32)
        funnel = np.zeros((users, len(SEARCH_FUNNEL)), np.int32)
        flags = np.full_like(state_flags, STALE * self.safety.stale)
        search = self.index.prepared(user_embedding)
        for i in range(users):
            allowed = self.safety.allowed(int(viewer_region[i, 0]), int(viewer_age[i, 0]))
            with without(allowed.bitmap, seen_rows[i]) as hidden:
                left = allowed.safe - hidden
                if np.isfinite(user_embedding[i]).all():
                    found = search[i](CANDIDATES_PER_USER, allowed.bitmap, left, hidden)
                    rows[i], similarity[i] = found
                    if self.probe:
                        self.probe.offer(user_embedding[i], allowed.bitmap, rows[i])
                    always = self.always(int(viewer_region[i, 0]), int(state_flags[i, 0]), allowed.bitmap)
                    self._add(always, user_embedding[i], rows[i], similarity[i])
                else:
                    flags[i] |= POPULAR
                    self._popular(int(viewer_region[i, 0]), rows[i], similarity[i], allowed.bitmap)
            counts = (len(self.safety.items), allowed.in_stock, allowed.region_allowed, allowed.safe, left)
            funnel[i] = (*counts, (rows[i] != NO_ITEM).sum())
        return {
            "candidate_rows": rows,
            "similarity": similarity,
            "search_funnel": funnel,
            "search_flags": flags,
        }

    def always(self, region: int, flags: int, bitmap: np.ndarray) -> np.ndarray:
        """Rows of a bitmap that are candidates however far they are: (m,) int64, at most K.

        Those are the pinned ones and, for a stranger by his `state_flags`, what is popular in his region.
        """
        pinned = self.pinned[are_set(bitmap, self.pinned)]
        if not flags & STRANGER:
            return pinned
        popular = self._popular_in(region, bitmap)[:GREETING]
        return np.concatenate([pinned, popular[~np.isin(popular, pinned)]])[:CANDIDATES_PER_USER]

    def _popular_in(self, region: int, bitmap: np.ndarray) -> np.ndarray:
        """What is popular and allowed, most popular first: (m,) int64; of all viewers where `region` is unknown."""
        rows = self.popular[max(region, UNKNOWN_REGION) + 1]
        rows = rows[rows != NO_ITEM].astype(np.int64)
        return rows[are_set(bitmap, rows)]

    def _popular(self, region: int, rows: np.ndarray, similarity: np.ndarray, bitmap: np.ndarray) -> None:
        """Fill in what is pinned or popular and allowed, and where that is not enough, what is allowed."""
        pinned, popular = self.pinned[are_set(bitmap, self.pinned)], self._popular_in(region, bitmap)
        found = np.concatenate([pinned, popular[~np.isin(popular, pinned)]])[: len(rows)]
        if len(found) < len(rows):
            others = np.setdiff1d(set_rows(bitmap), found, assume_unique=True)
            found = np.concatenate([found, others[: len(rows) - len(found)]])
        rows[: len(found)] = found
        similarity[: len(found)] = 0.0  # neither near nor far: the forest still ranks by everything else

    def _add(self, always: np.ndarray, embedding: np.ndarray, rows: np.ndarray, similarity: np.ndarray) -> None:
        """Put `always` (m,) allowed items among the candidates, for want of room in place of the farthest."""
        if not len(always):
            return
        others = rows[(rows != NO_ITEM) & ~np.isin(rows, always)]
        found = np.concatenate([others[: len(rows) - len(always)], always])
        near = self.index.similarity(embedding, found)
        order = np.argsort(-near, kind="stable")
        rows[: len(found)], similarity[: len(found)] = found[order], near[order]
