"""Evaluation on the test window: one request per user, at his first event there, against what he clicked from then on.

Items that the user had touched before are left out of every list and of the right answers, for all methods alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trident.contract import CANDIDATES_PER_USER
from trident.errors import InvalidInput
from trident.rules import Rules
from trident.stages.business_rules import choose, within_cap
from trident_export.baselines import most_popular, without_touched
from trident_export.build_config import BuildConfig
from trident_export.event_log import Log, Requests, first_requests
from trident_export.ground import Ground
from trident_export.index import build_index
from trident_export.learning import Ranker, ranker_rows
from trident_export.metrics import auc, log_loss, ndcg_at, recall_at
from trident_export.moments import ItemClock, Scene, matrices
from trident_export.ranker import predict
from trident_export.retrieval import Retrieved, embed, search_index
from trident_export.towers import Towers

DEPTHS = (20, 50, 500)
CAPPED = 50  # as deep as the list under the category cap goes


@dataclass(frozen=True)
class Evaluation:
    """Metrics of every method on the same requests, and of the ranker's probabilities."""

    methods: Mapping[str, Mapping[str, float]]  # name → metric → mean over the requests
    ranker: Mapping[str, Mapping[str, float]]  # kind of rows → metric
    requests: int
    of_new_users: int  # requests by users without an event before

    def as_dict(self) -> dict[str, Any]:
        """The metrics for the manifest."""
        return asdict(self)


def evaluate(ground: Ground, towers: Towers, ranker: Ranker, rules: Rules, config: BuildConfig) -> Evaluation:
    """Ask in the test window: most-popular, retrieval, and the ranked list without and with the category cap."""
    log, windows, catalogue = ground.log, ground.windows, ground.moments.catalogue
    rng = np.random.default_rng(config.seed)
    asked = question(log, windows.test, windows.end, config.test_users, rng)
    if not len(asked):
        raise InvalidInput("evaluation: expected users with clicks on new items in the test window, got none")
    scene = ground.moments.scene(asked.requests)
    users, embeddings = embed(towers, scene), towers.item_embeddings(ground.items.all_at(windows.test))
    index, search = build_index(embeddings, users, seed=config.seed)
    retrieved = search_index(index, search.nprobe, users, asked.touched, CANDIDATES_PER_USER)
    ranked = ranked_lists(scene, ground.items, retrieved, lambda rows: predict(ranker.booster, rows))
    popular = most_popular(log, windows.test, len(catalogue))
    lists = {
        "most popular": without_touched(popular, asked.touched, CANDIDATES_PER_USER),
        "retrieval": retrieved.rows,
        "ranked": ranked,
        "ranked, category cap": capped(ranked, catalogue.category, rules.max_per_category, CAPPED),
    }
    new = sum(len(rows) == 0 for rows in asked.touched)
    probabilities = evaluate_ranker(ground, towers, ranker, config)
    return Evaluation(evaluate_lists(lists, asked.relevant), probabilities, len(asked), new)


def evaluate_ranker(ground: Ground, towers: Towers, ranker: Ranker, config: BuildConfig) -> dict[str, dict[str, float]]:
    """AUC and log loss in the test window, on rows as the ranker learns from and on the logged impressions among them.

    A probability is that of a candidate, of which a user sees few; on what a user was shown it is far too low.
    """
    window = (ground.windows.test, ground.windows.end)
    rows = ranker_rows(ground, towers, window, config.samples, np.random.default_rng(config.seed))
    probabilities = predict(ranker.booster, rows.features)
    return {
        "candidates": evaluate_probabilities(rows.labels, probabilities),
        "impressions": evaluate_probabilities(rows.labels[rows.logged], probabilities[rows.logged]),
    }


@dataclass(frozen=True)
class Question:
    """Requests with their right answers; every request has at least one."""

    requests: Requests
    relevant: list[np.ndarray]  # per request: distinct item rows clicked or bought later, never touched before
    touched: list[np.ndarray]  # per request: item rows of any event before

    def __len__(self) -> int:
        return len(self.requests)


def question(log: Log, start: int, end: int, most: int, rng: np.random.Generator) -> Question:
    """Ask at each user's first event in [start, end); `most` users, drawn at random when there are more."""
    requests = first_requests(log, start, end)
    touched = log.touched(requests)
    begins = log.position(requests.user, requests.time)
    stops = log.position(requests.user, np.full(len(requests), end))
    spans = [slice(begin, stop) for begin, stop in zip(begins, stops, strict=True)]
    clicked = [log.item[span][log.positive[span]] for span in spans]
    relevant = [np.setdiff1d(items, before) for items, before in zip(clicked, touched, strict=True)]
    asked = np.flatnonzero([len(r) > 0 for r in relevant])
    if len(asked) > most:
        asked = np.sort(rng.choice(asked, most, replace=False))
    return Question(requests.take(asked), [relevant[i] for i in asked], [touched[i] for i in asked])


def list_metrics(ranked: np.ndarray, relevant: Sequence[np.ndarray]) -> dict[str, float]:
    """Mean recall@20, 50, 500 (as deep as the lists go) and NDCG@20 of lists (Q, L)."""
    depths = [k for k in DEPTHS if k <= ranked.shape[1]]
    metrics = {f"recall@{k}": float(recall_at(ranked, relevant, k).mean()) for k in depths}
    return metrics | {"ndcg@20": float(ndcg_at(ranked, relevant, 20).mean())}


def evaluate_lists(lists: Mapping[str, np.ndarray], relevant: Sequence[np.ndarray]) -> dict[str, dict[str, float]]:
    """The metrics of every method: name → metric → value."""
    return {name: list_metrics(ranked, relevant) for name, ranked in lists.items()}


def evaluate_probabilities(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """AUC and log loss of probabilities (n,), beside the log loss of always saying the mean."""
    mean = np.full(len(labels), labels.mean() if len(labels) else 0.5)
    return {
        "auc": auc(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "log_loss_of_mean": log_loss(labels, mean),
        "rows": len(labels),
        "click_share": float(mean[0]) if len(labels) else float("nan"),
    }


def by_score(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Sort each list (Q, K) by its scores, best first; -1 pads stay last, equal scores keep their order."""
    keys = np.where(rows >= 0, -scores, np.inf)
    return np.take_along_axis(rows, np.argsort(keys, axis=1, kind="stable"), axis=1)


def capped(ranked: np.ndarray, category: np.ndarray, cap: int, limit: int) -> np.ndarray:
    """The first `limit` of each list (Q, K) with at most `cap` items per category: (Q, limit), -1 pads.

    As in the business rules, an item beyond the cap comes in only where fewer than `limit` would remain.
    """
    answer = np.full((len(ranked), limit), -1, np.int64)
    for row, rows in enumerate(ranked):
        rows = rows[rows >= 0]
        chosen = np.sort(choose(within_cap(category[rows], cap), limit))
        answer[row, : len(chosen)] = rows[chosen]
    return answer


def ranked_lists(
    scene: Scene, items: ItemClock, retrieved: Retrieved, predict: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What was retrieved, sorted by the ranker's probability: (q, K) int64 item rows, -1 pads."""
    scores = np.full(retrieved.rows.shape, np.nan)
    for part, matrix in matrices(scene, items, retrieved.rows, retrieved.similarity):
        scores[part] = predict(matrix.reshape(-1, matrix.shape[2])).reshape(scores[part].shape)
    return by_score(retrieved.rows, scores)
