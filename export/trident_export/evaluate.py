"""Evaluation on the test window: one request per user, at his first event there, against what he clicked from then on.

Items that the user had touched before are left out of every list and of the right answers, for all methods alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trident.stages.business_rules import choose, within_cap
from trident_export.metrics import auc, log_loss, ndcg_at, recall_at
from trident_export.event_log import Log, Requests, first_requests

DEPTHS = (20, 50, 500)


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
    begin, stop = log.position(requests.user, requests.time), log.position(requests.user, np.full(len(requests), end))
    relevant = [
        np.setdiff1d(log.item[b:e][log.positive[b:e]], before) for b, e, before in zip(begin, stop, touched, strict=True)
    ]
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
    """AUC and log loss of the ranker on logged impressions (n,), beside the log loss of always saying the mean."""
    mean = np.full(len(labels), labels.mean() if len(labels) else 0.5)
    return {
        "auc": auc(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "log_loss_of_mean": log_loss(labels, mean),
        "impressions": float(len(labels)),
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
        chosen = np.sort(choose(within_cap(category[rows].tolist(), cap), limit))
        answer[row, : len(chosen)] = rows[chosen]
    return answer
