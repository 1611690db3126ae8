"""Lists of several methods judged on the same requests: means, bootstrap intervals, slices, differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from trident_export.intervals import interval, resampled_means
from trident_export.metrics import coverage, diversity_at, ndcg_at, novelty_at, recall_at, reciprocal_rank
from trident_export.question import Question

DEPTHS = (20, 50, 500)
SHORT = 20  # items of an answer: the k of all metrics but recall and MRR
COMPARED = ("recall@50", "ndcg@20")  # metrics by which a method is held against the best baseline
SLICED = ("recall@20", "recall@50", "ndcg@20", "mrr")

Lists = Mapping[str, np.ndarray]
"""Method → (Q, L) int64 item rows, best first, -1 pads."""
ByUser = Mapping[str, np.ndarray]
"""Metric → (Q,) float64, NaN where it has no value."""
NOTHING: Mapping[str, ByUser] = MappingProxyType({})


@dataclass(frozen=True)
class CatalogueFacts:
    """What is known of the items before the test window; arrays (n,)."""

    clicks: np.ndarray  # int64
    category: np.ndarray  # int code


@dataclass(frozen=True)
class Verdict:
    """Metrics of methods: name → metric → mean over the requests, and its 95 % interval."""

    means: Mapping[str, Mapping[str, float]]
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class Difference:
    """A method against the best baseline by one metric; the interval is that of the paired difference."""

    method: str
    metric: str
    baseline: str
    difference: float
    low: float
    high: float


def judged(
    lists: Lists, asked: Question, facts: CatalogueFacts, seed: int = 0, more: Mapping[str, ByUser] = NOTHING
) -> Verdict:
    """All metrics of all methods, and `more` of some that do not come from the log."""
    values = {
        name: user_metrics(found, asked.relevant, facts) | dict(more.get(name, {})) for name, found in lists.items()
    }
    verdict = _verdict(values, seed)
    covered = {name: coverage(found, len(facts.clicks), SHORT) for name, found in lists.items()}
    means = {name: {**found, f"coverage@{SHORT}": covered[name]} for name, found in verdict.means.items()}
    return replace(verdict, means=means)


def user_metrics(
    ranked: np.ndarray, relevant: Sequence[np.ndarray], facts: CatalogueFacts | None = None
) -> dict[str, np.ndarray]:
    """Metrics of lists (Q, L) by user, (Q,) float64 each; recall as deep as the lists go."""
    metrics = {f"recall@{k}": recall_at(ranked, relevant, k) for k in DEPTHS if k <= ranked.shape[1]}
    metrics |= {f"ndcg@{SHORT}": ndcg_at(ranked, relevant, SHORT), "mrr": reciprocal_rank(ranked, relevant)}
    if facts is not None:
        metrics[f"novelty@{SHORT}"] = novelty_at(ranked, facts.clicks, SHORT)
        metrics[f"diversity@{SHORT}"] = diversity_at(ranked, facts.category, SHORT)
    return metrics


def _verdict(values: Mapping[str, Mapping[str, np.ndarray]], seed: int) -> Verdict:
    names = [(method, metric) for method, metrics in values.items() for metric in metrics]
    table = np.stack([values[method][metric] for method, metric in names], axis=1)
    means, resampled = _known_means(table), resampled_means(table, seed)
    verdict = Verdict({method: {} for method in values}, {method: {} for method in values})
    for column, (method, metric) in enumerate(names):
        verdict.means[method][metric] = float(means[column])  # type: ignore[index]
        verdict.intervals[method][metric] = interval(resampled[:, column])  # type: ignore[index]
    return verdict


def _known_means(table: np.ndarray) -> np.ndarray:
    known = np.isfinite(table)
    counts = known.sum(axis=0)
    return np.divide(np.where(known, table, 0).sum(axis=0), counts, out=np.full(len(counts), np.nan), where=counts > 0)


@dataclass(frozen=True)
class Slice:
    """Some of the requests, with the right answers that count there."""

    rows: np.ndarray  # (m,) int64 rows of the question
    relevant: list[np.ndarray]  # (m,) distinct item rows each, one or more


def slices(asked: Question, facts: CatalogueFacts) -> dict[str, Slice]:
    """New and known users; of the known ones the lighter and the heavier half; answers nobody had clicked before."""
    touched = np.array([len(rows) for rows in asked.touched], np.int64)
    half = np.median(touched[touched > 0]) if (touched > 0).any() else 0
    masks = {
        "new users": touched == 0,
        "known users": touched > 0,
        "light users": (touched > 0) & (touched <= half),
        "heavy users": touched > half,
    }
    found = {name: Slice(rows, [asked.relevant[i] for i in rows]) for name, rows in _rows_of(masks.items())}
    fresh = [rows[facts.clicks[rows] == 0] for rows in asked.relevant]
    rows = np.flatnonzero([len(rows) > 0 for rows in fresh])
    return found | {"new items": Slice(rows, [fresh[i] for i in rows])}


def _rows_of(masks: Iterable[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    return [(name, np.flatnonzero(mask)) for name, mask in masks]


def judged_slice(lists: Lists, part: Slice, seed: int = 0, more: Mapping[str, ByUser] = NOTHING) -> Verdict:
    """The metrics of SLICED on a slice, and `more`, by all users, on its users; empty where it has no request."""
    if not len(part.rows):
        return Verdict({}, {})
    values = {}
    for name, ranked in lists.items():
        found = user_metrics(ranked[part.rows], part.relevant)
        values[name] = {metric: value for metric, value in found.items() if metric in SLICED}
        values[name] |= {metric: value[part.rows] for metric, value in more.get(name, {}).items()}
    return _verdict(values, seed)


def differences(
    lists: Lists, baselines: Sequence[str], asked: Question, seed: int = 0, metrics: Sequence[str] = COMPARED
) -> list[Difference]:
    """Every method of `lists` that is no baseline, against the best baseline of each metric."""
    values = {name: user_metrics(found, asked.relevant) for name, found in lists.items()}
    found = []
    for metric in metrics:
        rivals = [name for name in baselines if metric in values[name]]
        if not rivals:
            continue
        best = max(rivals, key=lambda name: values[name][metric].mean())
        for method in (name for name in lists if name not in baselines and metric in values[name]):
            gained = values[method][metric] - values[best][metric]
            low, high = interval(resampled_means(gained[:, None], seed)[:, 0])
            found.append(Difference(method, metric, best, float(gained.mean()), low, high))
    return found
