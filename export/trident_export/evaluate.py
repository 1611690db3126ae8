"""Evaluation on the test window: one request per user, at his first event there, against what he clicked from then on.

Items that the user had touched before are left out of every list and of the right answers, for all methods alike.
Baselines, retrieval and the ranked list know neither stock nor regions, age limits and rules; the lists end to end are
the answers of the stages that serve, with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trident.contract import CANDIDATES_PER_USER
from trident.errors import InvalidInput
from trident_export.baselines import clicks_of
from trident_export.build_config import BuildConfig
from trident_export.contest import CHOSEN_BY, Stand, baselines
from trident_export.data.truth import Truth
from trident_export.end_to_end import Served, end_to_end
from trident_export.ground import Ground
from trident_export.index import build_index
from trident_export.intervals import interval
from trident_export.judge import (
    ByUser,
    CatalogueFacts,
    Difference,
    Lists,
    Verdict,
    differences,
    judged,
    judged_slice,
    slices,
)
from trident_export.learning import Ranker, impressions, ranker_rows
from trident_export.metrics import auc, calibration, calibration_error, log_loss
from trident_export.moments import ItemClock, Scene, matrices
from trident_export.oracle import EXPECTED, consult, shares
from trident_export.question import Question, question
from trident_export.ranker import RankerRows, predict
from trident_export.retrieval import Retrieved, embed, search_index
from trident_export.snapshot import users_at
from trident_export.towers import Towers

CHOOSING_USERS = 300  # asked on the validation window to choose the settings of baselines
PROBABILITY_ROUNDS = 200  # of the bootstrap over the users of impressions


@dataclass(frozen=True)
class Evaluation:
    """Metrics of every method on the same requests, and of the ranker's probabilities."""

    methods: Mapping[str, Mapping[str, float]]  # name → metric → mean over the requests
    intervals: Mapping[str, Mapping[str, tuple[float, float]]]  # name → metric → 95 % bootstrap interval over users
    differences: tuple[Difference, ...]  # of our methods from the best baseline
    slices: Mapping[str, tuple[int, Verdict]]  # name → requests, their metrics
    settings: Mapping[str, Mapping[str, Any]]  # baseline → what was chosen on the validation window
    ranker: Mapping[str, Mapping[str, Any]]  # kind of rows → metric
    oracle: Mapping[str, Mapping[str, float]]  # method → its share of what oracles reach; empty for real data
    requests: int
    of_new_users: int  # requests by users without an event before

    def as_dict(self) -> dict[str, Any]:
        """The metrics for the manifest."""
        content = asdict(self)
        content["slices"] = {n: {"requests": r, **asdict(v)} for n, (r, v) in self.slices.items()}
        return content


def evaluate(
    ground: Ground, towers: Towers, ranker: Ranker, config: BuildConfig, models: Path, scratch: Path
) -> Evaluation:
    """Ask in the test window: the baselines, retrieval, the ranked list, and the whole path with the rules off and on.

    `models` holds the written towers and ranker and the rules; `scratch` takes a release of them as of the window's
    start. On synthetic data the oracles are asked too.
    """
    windows, rng = ground.windows, np.random.default_rng(config.seed)
    asked = question(ground.log, windows.test, windows.end, config.test_users, rng)
    if not len(asked):
        raise InvalidInput("evaluation: expected users with clicks on new items in the test window, got none")
    choosing = question(ground.log, windows.validation, windows.test, CHOOSING_USERS, rng)
    rivals = baselines(
        _stand(ground, windows.validation, choosing, CHOSEN_BY),
        _stand(ground, windows.test, asked, CANDIDATES_PER_USER),
        config.seed,
    )
    users = users_at(ground, asked.requests.user, windows.test)
    served = end_to_end(scratch, models, ground, towers, asked, users, windows.test)
    rival_lists = {name: found.lists for name, found in rivals.items()}
    own = own_lists(ground, towers, ranker, asked, config) | served.lists
    lists, expected = with_oracle(ground, asked, served, rival_lists | own)
    catalogue = ground.moments.catalogue
    facts = CatalogueFacts(clicks_of(ground.log, windows.test, len(catalogue)), catalogue.category)
    verdict = judged(lists, asked, facts, config.seed, expected)
    parts = slices(asked, facts)
    return Evaluation(
        methods=verdict.means,
        intervals=verdict.intervals,
        differences=tuple(differences({**rival_lists, **own}, list(rivals), asked, config.seed)),
        slices={n: (len(s.rows), judged_slice(lists, s, config.seed, expected)) for n, s in parts.items()},
        settings={name: baseline.settings for name, baseline in rivals.items()},
        ranker=evaluate_ranker(ground, towers, ranker, config),
        oracle=shares(verdict.means, list(served.lists)),
        requests=len(asked),
        of_new_users=sum(len(rows) == 0 for rows in asked.touched),
    )


def with_oracle(ground: Ground, asked: Question, served: Served, lists: Lists) -> tuple[Lists, Mapping[str, ByUser]]:
    """The lists with the oracles', and what to expect of each; the same and nothing where there is no truth."""
    path = ground.moments.dataset.truth
    if path is None:
        return lists, {}
    ids = (ground.moments.known_users.ids, ground.moments.catalogue.ids)
    found = consult(Truth.read(path), ids, asked, served.allowed, lists)
    return {**lists, **found.lists}, {name: {EXPECTED: values} for name, values in found.expected.items()}


def _stand(ground: Ground, before: int, asked: Question, k: int) -> Stand:
    return Stand(ground.log, before, asked, len(ground.moments.known_users), len(ground.moments.catalogue), k)


def own_lists(
    ground: Ground, towers: Towers, ranker: Ranker, asked: Question, config: BuildConfig
) -> dict[str, np.ndarray]:
    """What the index finds at the requests, and the same sorted by the ranker, users as of their requests."""
    scene, test = ground.moments.scene(asked.requests), ground.windows.test
    users, embeddings = embed(towers, scene), towers.item_embeddings(ground.items.all_at(test))
    index, search = build_index(embeddings, users, seed=config.seed)
    retrieved = search_index(index, search.nprobe, users, asked.touched, CANDIDATES_PER_USER)
    ranked = ranked_lists(scene, ground.items, retrieved, lambda rows: predict(ranker.booster, rows))
    return {"retrieval": retrieved.rows, "ranked": ranked}


def evaluate_ranker(ground: Ground, towers: Towers, ranker: Ranker, config: BuildConfig) -> dict[str, dict[str, Any]]:
    """The ranker in the test window: on views drawn evenly, and on the candidates that it has to sort.

    The score is the probability that a shown item is clicked, so impressions judge it as a probability. Of candidates
    that nobody was shown it is not known whether they would have been clicked: there only the order is judged.
    """
    window = (ground.windows.test, ground.windows.end)
    rows = ranker_rows(ground, towers, window, config.samples, np.random.default_rng(config.seed))
    shown = impressions(ground, towers, window, config)
    order = {"auc": auc(rows.labels, predict(ranker.booster, rows.features)), "rows": len(rows)}
    return {
        "impressions": evaluate_probabilities(shown, predict(ranker.booster, shown.features), config.seed),
        "candidates": {**order, "click_share": float(rows.labels.mean())},
    }


def evaluate_probabilities(rows: RankerRows, probabilities: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """AUC, log loss and calibration of probabilities (n,), beside the log loss of always saying the mean.

    `intervals` come from drawing requests (of impressions: users) with repetition. Without rows there is only their
    number.
    """
    labels = rows.labels
    if not len(rows):
        return {"rows": 0}
    return {
        "auc": auc(labels, probabilities),
        "log_loss": log_loss(labels, probabilities),
        "log_loss_of_mean": log_loss(labels, np.full(len(labels), labels.mean())),
        "calibration_error": calibration_error(labels, probabilities),
        "rows": len(labels),
        "click_share": float(labels.mean()),
        "intervals": _probability_intervals(rows, probabilities, seed),
        "calibration": calibration(labels, probabilities).tolist(),
    }


def _probability_intervals(rows: RankerRows, probabilities: np.ndarray, seed: int) -> dict[str, tuple[float, float]]:
    rng = np.random.default_rng(seed)
    begins = np.unique(rows.request, return_index=True)[1]
    groups = np.split(np.arange(len(rows)), begins[1:])
    found = []
    for _ in range(PROBABILITY_ROUNDS):
        drawn = np.concatenate([groups[g] for g in rng.integers(len(groups), size=len(groups))])
        labels, p = rows.labels[drawn], probabilities[drawn]
        found.append((auc(labels, p), log_loss(labels, p)))
    return {name: interval(np.array(found)[:, column]) for column, name in enumerate(("auc", "log_loss"))}


def by_score(rows: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Sort each list (Q, K) by its scores, best first; -1 pads stay last, equal scores keep their order."""
    keys = np.where(rows >= 0, -scores, np.inf)
    return np.take_along_axis(rows, np.argsort(keys, axis=1, kind="stable"), axis=1)


def ranked_lists(
    scene: Scene, items: ItemClock, retrieved: Retrieved, predict: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """What was retrieved, sorted by the ranker's probability: (q, K) int64 item rows, -1 pads."""
    scores = np.full(retrieved.rows.shape, np.nan)
    for part, matrix in matrices(scene, items, retrieved.rows, retrieved.similarity):
        scores[part] = predict(matrix.reshape(-1, matrix.shape[2])).reshape(scores[part].shape)
    return by_score(retrieved.rows, scores)
