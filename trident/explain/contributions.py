"""What each feature adds to the ranker's score of a row, from the forest itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trident.contract import RANKER
from trident.errors import SetupError
from trident.features.registry import ALL

if TYPE_CHECKING:
    from lightgbm import Booster

MODEL = "model.txt"
INSTALL = "pip install 'trident-recommender[export]'"


@dataclass(frozen=True)
class Contribution:
    """One feature of one row: its value, None when it is missing, and what it adds to the log-odds of a click."""

    feature: str
    value: float | None
    log_odds: float


def open_booster(repository: Path, release: int) -> Booster:
    """Open the ranker's forest of a release as LightGBM wrote it.

    Raises SetupError when LightGBM is not installed.
    """
    try:
        from lightgbm import Booster
    except ModuleNotFoundError:
        raise SetupError(f"explaining scores needs LightGBM: {INSTALL}") from None
    return Booster(model_file=repository / RANKER.name / str(release) / MODEL)


def contributions(booster: Booster, rows: np.ndarray, most: int) -> list[tuple[Contribution, ...]]:
    """The `most` largest contributions to each of `rows` (m, 120), largest first.

    They are SHAP values: with the forest's mean score, the contributions of all features add up to the row's raw score
    (Lundberg, Erion and Lee: Consistent Individualized Feature Attribution for Tree Ensembles, 2018).
    """
    values = np.asarray(booster.predict(rows, pred_contrib=True))[:, :-1]
    order = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :most]
    return [
        tuple(_contribution(row, shap, column) for column in columns.tolist())
        for row, shap, columns in zip(rows, values, order, strict=True)
    ]


def _contribution(row: np.ndarray, shap: np.ndarray, column: int) -> Contribution:
    value = float(row[column])
    return Contribution(ALL[column].name, None if np.isnan(value) else value, float(shap[column]))
