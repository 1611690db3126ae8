"""Which answers are logged as shown, and as what."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trident.contract import CONTEXT_FEATURES, FEATURES, ITEM_FEATURES, USER_FEATURES
from trident.features.registry import place
from trident.release import Release
from trident.rules.answer import Answer
from trident.stages.host import Host
from trident.stages.stage import Tensors
from trident.state.impressions import (
    FEATURE_ROWS,
    IMPRESSIONS,
    Impression,
    Logged,
    ShownRows,
    pack_impression,
    pack_rows,
)

_SIMILARITY = USER_FEATURES + ITEM_FEATURES + CONTEXT_FEATURES + place("cross_similarity")


@dataclass(frozen=True)
class ImpressionLog:
    """Turns answers of one release into entries for the streams."""

    release: int
    regions: Sequence[str]
    share: float  # of the answers
    most: int  # that the stream of impressions keeps
    most_rows: int  # that the stream of feature rows keeps

    @classmethod
    def of(cls, release: Release, host: Host) -> ImpressionLog:
        """The log that the settings of `host` ask for; nothing is shown to users that somebody stands in for."""
        asked, regions = host.settings, release.vocabulary.regions
        share = 0.0 if host.stand_in else asked.impressions_share
        return cls(release.manifest.release, regions, share, asked.impressions, asked.feature_rows)

    def entries(
        self, users: Sequence[int], tensors: Tensors, answers: Sequence[Answer], ids: Sequence[Sequence[bytes]]
    ) -> list[Logged]:
        """What to log of the answers to `users`, which are rows of `tensors`, the stage's inputs by name."""
        return [entry for i in users if ids[i] for entry in self._of(i, tensors, answers[i], ids[i])]

    def _of(self, i: int, tensors: Tensors, answer: Answer, ids: Sequence[bytes]) -> Iterator[Logged]:
        sampled = self._is_chosen(tensors, i)
        rows = sampled_rows(tensors["feature_sample"][i])
        if not sampled and rows is None:
            return
        shown = self._impression(i, tensors, answer, ids)
        if sampled:
            yield Logged(IMPRESSIONS, pack_impression(shown), self.most)
        if rows is not None:
            candidates = tensors["candidate_rows"][i]
            places = (candidates[None] == answer.rows[:, None]).argmax(axis=1)
            kept = ShownRows(shown, rows[places], candidates.astype(np.int32), rows[:, _SIMILARITY])
            yield Logged(FEATURE_ROWS, pack_rows(kept), self.most_rows)

    def _is_chosen(self, tensors: Tensors, i: int) -> bool:
        """Whether this answer is among the share: the same for every repetition of a request."""
        asked = b"%s:%d" % (tensors["user_id"][i, 0], tensors["request_time"][i, 0])
        return zlib.crc32(asked) < self.share * 2**32

    def _impression(self, i: int, tensors: Tensors, answer: Answer, ids: Sequence[bytes]) -> Impression:
        code = int(tensors["viewer_region"][i, 0])
        region = tensors["region"][i, 0].decode() or (self.regions[code] if code >= 0 else "")
        return Impression(
            user=tensors["user_id"][i, 0].decode(),
            time=int(tensors["request_time"][i, 0]),
            release=self.release,
            request=tensors["request_id"][i],
            device=tensors["device"][i, 0].decode(),
            region=region,
            flags=int(tensors["search_flags"][i, 0]),
            items=tuple(ids),
            scores=answer.scores,
        )


def feature_sample(matrix: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The rows of the `chosen` (B,) users of a matrix (B·K, 120), for `sampled_rows`: (B, W) float32.

    The narrowest array that Triton can carry when nobody is chosen: the matrix itself would cost every request 0.4 ms.
    """
    users = len(chosen)
    if not chosen.any():
        return np.full((users, 1), np.nan, np.float32)
    return np.where(chosen[:, None], matrix.reshape(users, -1), np.float32(np.nan))


def sampled_rows(sample: np.ndarray) -> np.ndarray | None:
    """The rows (K, 120) in one user's part (W,) of a feature sample, or None when he was not chosen."""
    if len(sample) < FEATURES or np.isnan(sample).all():
        return None
    return sample.reshape(-1, FEATURES)
