"""From the log to what the towers and the ranker learn from.

User rows, histories and the rows of the ranker see only what was before their moment. The towers learn with one row per
item, as of the end of what they learn from: their counts include the clicks that are learned, in the way a catalogue
served from that moment would show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import lightgbm
import numpy as np
from rich.progress import Progress

from trident.contract import CANDIDATES_PER_USER
from trident.errors import InvalidInput
from trident.features.registry import ITEM, USER, Feature
from trident.features.vocabulary import Vocabulary
from trident_export.build_config import BuildConfig
from trident_export.event_log import Log, Requests
from trident_export.ground import Ground
from trident_export.impressions import impression_rows
from trident_export.moments import matrices
from trident_export.ranker import RankerRows, TrainedRanker, train_ranker
from trident_export.retrieval import embed, nearest, similarities
from trident_export.samples import SampleConfig, sample_requests, shelves
from trident_export.towers import TowerConfig, TowerData, Towers, train


@dataclass(frozen=True)
class Ranker:
    """A trained forest and what it learned from."""

    trained: TrainedRanker
    train: RankerRows
    validation: RankerRows

    @property
    def booster(self) -> lightgbm.Booster:
        """The forest."""
        return self.trained.booster


def fit_towers(ground: Ground, config: BuildConfig, progress: Progress | None = None) -> Towers:
    """Train the towers on the first part of the train window, validated on the validation window.

    They have not seen what the ranker learns from, so the similarity it gets is as good as it will be in serving.
    """
    return _train_towers(ground, ground.windows.ranker, config, config.towers, progress)


def refit_towers(ground: Ground, towers: Towers, config: BuildConfig, progress: Progress | None = None) -> Towers:
    """Train the towers that serve: on all but the test window, for as many epochs as were best for `towers`.

    Users change, and items that came since then get vectors; the ranker needs to know only how near is near.
    """
    epochs = towers.best.epoch
    settings = replace(config.towers, epochs=epochs, patience=epochs)
    return _train_towers(ground, ground.windows.test, config, settings, progress)


def _train_towers(
    ground: Ground, end: int, config: BuildConfig, settings: TowerConfig, progress: Progress | None
) -> Towers:
    windows, rng, items = ground.windows, np.random.default_rng(config.seed), ground.items.all_at(end)
    learned = clicks_between(ground.log, windows.start, end, config.tower_pairs, rng)
    judged = clicks_between(ground.log, windows.validation, windows.test, config.tower_pairs, rng)
    data = taught_pairs(ground, learned, items, config, rng)
    return train(
        data, tower_data(ground, Requests.at(ground.log, judged), ground.log.item[judged], items), settings, progress
    )


def clicks_between(log: Log, start: int, end: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of clicks and purchases in the log with start ≤ time < end, `most` of them at most: (E,) int64."""
    at = np.flatnonzero(log.positive & (log.time >= start) & (log.time < end))
    return at if len(at) <= most else np.sort(rng.choice(at, most, replace=False))


def taught_pairs(
    ground: Ground, at: np.ndarray, item_rows: np.ndarray, config: BuildConfig, rng: np.random.Generator
) -> TowerData:
    """The pairs of the clicks at positions `at` (E,), newer ones of more weight, some moved to the user's first event.

    What people pick changes, and the towers have no clock: the weights let them follow. A user who has just come is
    rare among the clicks and frequent among those who ask.
    """
    log = ground.log
    moved = rng.random(len(at)) < config.newcomers
    first = np.searchsorted(log.user, log.user[at])
    requests = Requests.at(log, np.where(moved, first, at))
    weights = None if config.recency is None else recency_weights(log.time[at], config.recency)
    return tower_data(ground, requests, log.item[at], item_rows, weights)


def recency_weights(time: np.ndarray, half_life: float) -> np.ndarray:
    """Weights (E,) float32 of mean 1 that halve with every share `half_life` of the events that are newer."""
    age = np.empty(len(time))
    age[np.argsort(-time, kind="stable")] = np.arange(len(time)) / max(len(time), 1)
    weights = np.exp2(-age / half_life)
    return (weights / weights.mean()).astype(np.float32) if len(weights) else weights.astype(np.float32)


def tower_data(
    ground: Ground, requests: Requests, items: np.ndarray, item_rows: np.ndarray, weights: np.ndarray | None = None
) -> TowerData:
    """Pairs of a user as of a request (E,) and the item (E,) that he picked, among items of the rows (n, 40)."""
    scene, vocabulary = ground.moments.scene(requests), ground.moments.vocabulary
    return TowerData(
        scene.users,
        scene.histories,
        items,
        item_rows,
        weights,
        user_categories=code_counts(USER, vocabulary),
        item_categories=code_counts(ITEM, vocabulary),
    )


def code_counts(features: Sequence[Feature], vocabulary: Vocabulary) -> dict[int, int]:
    """Column → number of codes, for the categorical ones of a group whose list is not empty."""
    sizes = {column: len(vocabulary.values(f.vocabulary)) for column, f in enumerate(features) if f.vocabulary}
    return {column: size for column, size in sizes.items() if size}


def fit_ranker(ground: Ground, towers: Towers, config: BuildConfig, progress: Progress | None = None) -> Ranker:
    """Train the forest on the second part of the train window; the validation window says when to stop."""
    windows, rng = ground.windows, np.random.default_rng(config.seed)
    train_rows = ranker_rows(ground, towers, (windows.ranker, windows.validation), config.samples, rng)
    validation = ranker_rows(ground, towers, (windows.validation, windows.test), config.samples, rng)
    bar = progress.add_task("ranker", total=config.ranker.trees) if progress else None

    def on_tree(tree: int, trees: int) -> None:
        if progress and bar is not None:
            progress.update(bar, completed=tree, description=f"ranker, {len(train_rows):,} rows")

    shown = impressions(ground, towers, (windows.validation, windows.test), config)
    trained = train_ranker(train_rows, validation, config.ranker, config.seed, on_tree, shown)
    return Ranker(trained, train_rows, validation)


def impressions(ground: Ground, towers: Towers, window: tuple[int, int], config: BuildConfig) -> RankerRows:
    """Views of the window, drawn evenly, and whether a click followed."""
    rng = np.random.default_rng(config.seed)
    return impression_rows(ground, towers, window, config.impressions, config.samples.session_seconds, rng)


def ranker_rows(
    ground: Ground, towers: Towers, window: tuple[int, int], config: SampleConfig, rng: np.random.Generator
) -> RankerRows:
    """Rows of requests in the window, among the items that were retrieved for them with what was known at its start."""
    start, end = window
    requests = sample_requests(ground.log, start, end, config, rng)
    if not len(requests):
        raise InvalidInput("ranker rows: expected clicks in each window of the split, got one without: bring more data")
    return rows_behind(ground, towers, requests, (start, end), config, rng)


def rows_behind(
    ground: Ground,
    towers: Towers,
    requests: Requests,
    span: tuple[int, int],
    config: SampleConfig,
    rng: np.random.Generator,
) -> RankerRows:
    """Rows of `requests`: retrieved among items as of the span's start, clicked or not before its end."""
    scene = ground.moments.scene(requests)
    users, embeddings = embed(towers, scene), towers.item_embeddings(ground.items.all_at(span[0]))
    retrieved = nearest(users, embeddings, ground.log.touched(requests), CANDIDATES_PER_USER)
    shelf = shelves(ground.log, requests, retrieved.rows, span[1], config, rng)
    similarity = similarities(users, embeddings, shelf.rows)
    blocks = matrices(scene, ground.items, shelf.rows, similarity)
    features = np.concatenate([matrix[shelf.chosen[part]] for part, matrix in blocks])
    chosen = shelf.chosen
    return RankerRows(features, shelf.label[chosen], np.nonzero(chosen)[0], shelf.logged[chosen])
