"""The ranker: a LightGBM forest on the 120-column matrix, exported as a Treelite checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import treelite

from trident.contract import FEATURES
from trident.errors import InvalidInput, ReleaseError
from trident.features.registry import ALL
from trident_export.calibrate import Line, fit_line, fold_in

LEAST = {"depth": 0, "trees": 1, "leaves": 2, "min_rows_per_leaf": 1, "patience": 1}
IMPORTANCES = 25  # features that the report names
FEATURE_NAMES = tuple(feature.name for feature in ALL)
LOGISTIC = "binary sigmoid:1"
"""The objective in LightGBM's text of a forest whose raw scores are log-odds."""
PARITY = 1e-6
"""Largest difference allowed between LightGBM and its Treelite checkpoint, in probability."""


@dataclass(frozen=True)
class RankerConfig:
    """What the forest learns, its size and its care."""

    depth: int = 50  # first places of a request's list that it learns to fill; 0: to tell clicked rows from others
    trees: int = 300
    leaves: int = 15
    learning_rate: float = 0.03
    min_rows_per_leaf: int = 100
    l2: float = 1.0
    feature_share: float = 0.8
    patience: int = 50  # trees without a better validation loss before training stops

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise InvalidInput(f"ranker: expected '{name}' of at least {least}, got {getattr(self, name)}")
        if not 0 < self.learning_rate <= 1 or not 0 < self.feature_share <= 1 or self.l2 < 0:
            raise InvalidInput("ranker: expected learning_rate and feature_share in (0, 1], l2 of at least 0")


@dataclass(frozen=True)
class RankerRows:
    """Training rows; those of one request stand together."""

    features: np.ndarray  # (R, 120) float32
    labels: np.ndarray  # (R,) of 0 and 1
    request: np.ndarray  # (R,) int64
    logged: np.ndarray  # (R,) bool: an impression of the log, not an item that was only retrieved

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or self.features.shape[1] != FEATURES:
            raise InvalidInput(f"ranker rows: expected (rows, {FEATURES}) features, got {self.features.shape}")
        if not len(self.features) == len(self.labels) == len(self.request) == len(self.logged):
            raise InvalidInput("ranker rows: features, labels, request and logged differ in length")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sizes(self) -> np.ndarray:
        """Rows of each request, in their order: (q,) int64."""
        begins = np.flatnonzero(np.diff(self.request, prepend=self.request[:1] - 1))
        return np.diff(begins, append=len(self.request))

    def with_more(self, other: RankerRows) -> RankerRows:
        """These rows, then those of `other`, whose requests are others."""
        shift = self.request.max(initial=-1) + 1 - other.request.min(initial=0)
        return RankerRows(
            np.concatenate([self.features, other.features]),
            np.concatenate([self.labels, other.labels]),
            np.concatenate([self.request, other.request + shift]),
            np.concatenate([self.logged, other.logged]),
        )


def train_ranker(
    train: RankerRows,
    validation: RankerRows,
    config: RankerConfig | None = None,
    seed: int = 0,
    on_tree: Callable[[int, int], None] | None = None,
    impressions: RankerRows | None = None,
) -> TrainedRanker:
    """Fit the forest; `on_tree` hears (tree, trees).

    The validation rows say how many trees are enough. Then so many are fitted on all rows, for the validation rows are
    the newest. `impressions` of the same time say how often an item is clicked that is shown: with them, the scores
    become that probability. The line that does it is found with a forest that has seen none of them.
    """
    config = config or RankerConfig()
    for name, rows in (("train", train), ("validation", validation)):
        if not 0 < rows.labels.sum() < len(rows):
            raise InvalidInput(f"ranker: the {name} rows need clicked and other items, got {len(rows)} of one kind")
    data = _dataset(train)
    held_out = _dataset(validation, data)
    curve: dict[str, dict[str, list[float]]] = {}
    told: list[Callable[..., Any]] = [
        lightgbm.early_stopping(config.patience, verbose=False),
        lightgbm.record_evaluation(curve),
    ]
    settings = _parameters(config, seed)
    trial = lightgbm.train(settings, data, config.trees, [held_out, data], callbacks=[*_heard(on_tree), *told])
    everything = _dataset(train.with_more(validation))
    booster = lightgbm.train(settings, everything, trial.best_iteration, callbacks=_heard(on_tree))
    booster = _as_probability(booster)
    line = Line(1.0, 0.0) if impressions is None else _calibrated(booster, trial, impressions)
    losses = {name: _loss(values) for name, values in curve.items()}
    return TrainedRanker(booster, losses["valid_0"], losses["training"], line)


def _dataset(rows: RankerRows, like: lightgbm.Dataset | None = None) -> lightgbm.Dataset:
    return lightgbm.Dataset(rows.features, rows.labels, group=rows.sizes, reference=like)


def _as_probability(booster: lightgbm.Booster) -> lightgbm.Booster:
    """The same trees, their sum made a probability by the logistic function, as the line expects and serving does."""
    text = booster.model_to_string().replace("\nobjective=lambdarank\n", f"\nobjective={LOGISTIC}\n")
    if f"\nobjective={LOGISTIC}\n" not in text:
        raise ReleaseError(f"ranker: expected a forest whose objective can be made '{LOGISTIC}', got another text")
    return lightgbm.Booster(model_str=text)


def _loss(metrics: dict[str, list[float]]) -> tuple[float, ...]:
    """After each tree, what training makes small: log loss, or what NDCG lacks to 1."""
    [(name, values)] = metrics.items()
    return tuple(1 - value for value in values) if name.startswith("ndcg") else tuple(values)


def _calibrated(booster: lightgbm.Booster, trial: lightgbm.Booster, impressions: RankerRows) -> Line:
    """Fold into the forest the line that suits what `trial`, which has not seen them, says of the impressions."""
    if not len(impressions):
        return Line(1.0, 0.0)
    raw = np.asarray(trial.predict(impressions.features, num_iteration=trial.best_iteration, raw_score=True))
    line = fit_line(raw, impressions.labels)
    fold_in(booster, line)
    return line


@dataclass(frozen=True)
class TrainedRanker:
    """A forest, the curves of its training, and the line that made its scores probabilities."""

    booster: lightgbm.Booster
    validation_loss: tuple[float, ...]  # after each tree of the trial on the validation rows
    train_loss: tuple[float, ...]
    line: Line

    def as_dict(self) -> dict[str, Any]:
        """The training for the manifest, with the share of the gain of the most important features."""
        gain = self.booster.feature_importance("gain")
        best = np.argsort(-gain, kind="stable")[:IMPORTANCES]
        return {
            "trees": self.booster.num_trees(),
            "train_loss": list(self.train_loss),
            "validation_loss": list(self.validation_loss),
            "slope": self.line.slope,
            "offset": self.line.offset,
            "importance": {FEATURE_NAMES[k]: float(gain[k] / max(gain.sum(), 1e-12)) for k in best},
        }


def _parameters(config: RankerConfig, seed: int) -> dict[str, object]:
    return {
        **_aim(config.depth),
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_rows_per_leaf,
        "lambda_l2": config.l2,
        "feature_fraction": config.feature_share,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 0,  # as many as OpenMP may use here
        "verbosity": -1,
    }


def _aim(depth: int) -> dict[str, object]:
    if depth == 0:
        return {"objective": "binary", "metric": "binary_logloss"}
    # Pairs are formed from a little below the places that count, as LightGBM advises.
    return {"objective": "lambdarank", "metric": "ndcg", "eval_at": depth, "lambdarank_truncation_level": depth + 10}


def _heard(on_tree: Callable[[int, int], None] | None) -> list[Callable[..., Any]]:
    if on_tree is None:
        return []
    return [lambda state: on_tree(state.iteration + 1, state.end_iteration)]


def predict(booster: lightgbm.Booster, features: np.ndarray) -> np.ndarray:
    """Click probability of rows (R, 120) float32: (R,) float64."""
    return np.asarray(booster.predict(features))


def export_ranker(booster: lightgbm.Booster, folder: Path, rows: np.ndarray, seed: int = 0) -> float:
    """Write `checkpoint.tl` and LightGBM's `model.txt`; return their largest difference on `rows` (R, 120).

    A tenth of the values is replaced by NaN in a second copy of the rows, so that missing values are compared too.
    Raise ReleaseError when the difference is above PARITY.
    """
    folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(folder / "model.txt")
    # From the saved text, so that the checkpoint and the oracle beside it hold the same trees.
    saved = lightgbm.Booster(model_file=folder / "model.txt")
    treelite.frontend.from_lightgbm(saved).serialize(folder / "checkpoint.tl")
    difference = forest_difference(folder, _with_missing(rows, seed))
    if not difference <= PARITY:
        raise ReleaseError(f"ranker: checkpoint.tl and model.txt differ by {difference:.2e}, allowed {PARITY:.0e}")
    return difference


def forest_difference(folder: Path, rows: np.ndarray) -> float:
    """Largest difference in probability between `checkpoint.tl` and `model.txt` of `folder` on `rows` (R, 120)."""
    expected = lightgbm.Booster(model_file=folder / "model.txt").predict(rows)
    forest = treelite.Model.deserialize(folder / "checkpoint.tl")
    got = treelite.gtil.predict(forest, rows, nthread=1).reshape(len(rows))
    return float(np.abs(expected - got).max(initial=0.0))


def _with_missing(rows: np.ndarray, seed: int) -> np.ndarray:
    holed = rows.copy()
    holed[np.random.default_rng(seed).random(rows.shape) < 0.1] = np.nan
    return np.concatenate([rows, holed])
