"""What the steps count of each request for Triton's `/metrics`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from trident.contract import DEGRADED, FUNNEL
from trident.features.registry import ALL
from trident.metrics import Counter, Gauge, Histogram
from trident.safety import Safety
from trident.state.store import UserState

EVERY = 16  # requests, of which one is looked at for missing values
ITEMS = (0, 1, 5, 10, 20, 50, 100, 200, 300, 400, 499, 500, 1e3, 1e4, 1e5, 1e6, 1e7)
_STEPS = tuple((step,) for step in FUNNEL)
SCORES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)

EMBEDDINGS = Counter("trident_user_embeddings_total", "Users by what the embedding cache had of them.", ("cache",))
ANSWERS = Counter("trident_answers_total", "Answers by the release that gave them.", ("release",))
REASONS = Counter("trident_degraded_total", "Answers that were short of something, by reason.", ("reason",))
STARVED = Counter("trident_starved_total", "Answers with fewer items than were asked for.")
FUNNEL_ITEMS = Histogram("trident_funnel_items", "Items left after each step.", ("step",), buckets=ITEMS)
BEST_SCORE = Histogram("trident_best_score", "Score of the first item of an answer.", buckets=SCORES)
MISSING = Counter("trident_feature_missing_total", "Sampled rows of the ranker without a value.", ("feature",))
SAMPLED = Counter("trident_feature_rows_total", "Rows of the ranker that were sampled for missing values.")

LAG = Gauge("trident_live_updates_lag_seconds", "Since when item changes are not followed.", ("model", "release"))
APPLIED = Gauge(
    "trident_live_updates_applied", "Item changes applied since the model was loaded.", ("model", "release")
)


def count_states(states: Sequence[UserState]) -> None:
    """Count what the cache had: `hit`, `miss`, `refused` (damaged or foreign), `unknown` when Redis did not tell."""
    for state in states:
        found = "refused" if state.embedding_refused else "miss" if state.embedding is None else "hit"
        found = "unknown" if state.unavailable else found
        EMBEDDINGS.add(cache=found)


def count_answers(release: int, limit: np.ndarray, funnel: np.ndarray, flags: np.ndarray, score: np.ndarray) -> None:
    """Count answers: `limit` (B,1), `funnel` (B,N) counts, `flags` (B,1) bits of DEGRADED, `score` (B,L)."""
    ANSWERS.add(len(flags), release=str(release))
    if flags.any():
        for bit, reason in enumerate(DEGRADED):
            if said := int((flags >> bit & 1).sum()):
                REASONS.add(said, reason=reason)
    if starved := np.count_nonzero(funnel[:, -1:] < limit):
        STARVED.add(starved)
    FUNNEL_ITEMS.observe_columns(funnel, _STEPS)
    BEST_SCORE.observe([best for best in score[:, 0].tolist() if math.isfinite(best)])


def count_missing(matrix: np.ndarray) -> None:
    """Count the values that rows (m, 120) of the ranker lack, by feature; rows without an item are left out."""
    rows = matrix[~np.isnan(matrix).all(axis=1)]
    SAMPLED.add(len(rows))
    missing = np.isnan(rows).sum(axis=0)
    for column in np.flatnonzero(missing).tolist():
        MISSING.add(int(missing[column]), feature=ALL[column].name)


def follow_items(safety: Safety, model: str, release: int) -> None:
    """Report how far a model is behind the changes of items, and how many it has applied."""
    labels = {"model": model, "release": str(release)}
    LAG.follow(lambda: safety.lag_seconds, **labels)
    APPLIED.follow(lambda: safety.applied, **labels)
