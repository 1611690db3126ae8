"""From the log to what the towers and the ranker learn from, point-in-time correct."""

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
from trident_export.event_log import Requests
from trident_export.ground import Ground
from trident_export.moments import matrices
from trident_export.ranker import RankerRows, train_ranker
from trident_export.retrieval import embed, nearest, similarities
from trident_export.samples import SampleConfig, sample_requests, shelves
from trident_export.towers import TowerConfig, TowerData, Towers, train


@dataclass(frozen=True)
class Ranker:
    """A trained forest and what it learned from."""

    booster: lightgbm.Booster
    train: RankerRows
    validation: RankerRows


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
    windows, rng = ground.windows, np.random.default_rng(config.seed)
    items = ground.items.all_at(end)
    data = tower_data(ground, (windows.start, end), items, config.tower_pairs, rng)
    validation = tower_data(ground, (windows.validation, windows.test), items, config.tower_pairs, rng)
    return train(data, validation, settings, progress)


def tower_data(
    ground: Ground, window: tuple[int, int], item_rows: np.ndarray, most: int, rng: np.random.Generator
) -> TowerData:
    """Pairs of a user as of a click or purchase in the window and its item, `most` of them at most."""
    log, vocabulary = ground.log, ground.moments.vocabulary
    at = np.flatnonzero(log.positive & (log.time >= window[0]) & (log.time < window[1]))
    if len(at) > most:
        at = np.sort(rng.choice(at, most, replace=False))
    scene = ground.moments.scene(Requests.at(log, at))
    return TowerData(
        scene.users,
        scene.histories,
        log.item[at],
        item_rows,
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

    booster = train_ranker(train_rows, validation, config.ranker, config.seed, on_tree)
    return Ranker(booster, train_rows, validation)


def ranker_rows(
    ground: Ground, towers: Towers, window: tuple[int, int], config: SampleConfig, rng: np.random.Generator
) -> RankerRows:
    """Rows of requests in the window, among the items that were retrieved for them with what was known at its start."""
    start, end = window
    requests = sample_requests(ground.log, start, end, config, rng)
    if not len(requests):
        raise InvalidInput("ranker rows: expected clicks in each window of the split, got one without: bring more data")
    scene = ground.moments.scene(requests)
    users, embeddings = embed(towers, scene), towers.item_embeddings(ground.items.all_at(start))
    retrieved = nearest(users, embeddings, ground.log.touched(requests), CANDIDATES_PER_USER)
    shelf = shelves(ground.log, requests, retrieved.rows, end, config, rng)
    similarity = similarities(users, embeddings, shelf.rows)
    blocks = matrices(scene, ground.items, shelf.rows, similarity)
    features = np.concatenate([matrix[shelf.chosen[part]] for part, matrix in blocks])
    chosen = shelf.chosen
    return RankerRows(features, shelf.label[chosen], np.nonzero(chosen)[0], shelf.logged[chosen])
