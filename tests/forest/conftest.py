from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest
import treelite

from trident.forest import Forest


@pytest.fixture(scope="session")
def forest_of() -> Callable[[lgb.Booster], Forest]:
    return lambda booster: Forest.from_treelite(treelite.frontend.from_lightgbm(booster))


def rows_with_gaps(n: int, columns: int = 12, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, columns)).astype(np.float32)
    rows[rng.random(rows.shape) < 0.2] = np.nan
    rows[:, 3] = np.round(rows[:, 3])  # ties with thresholds
    rows[:, 4] = np.nan_to_num(rows[:, 4])  # a column that was never missing in training
    return rows


@pytest.fixture(scope="session")
def gaps() -> Callable[..., np.ndarray]:
    return rows_with_gaps


@pytest.fixture(scope="session")
def trained() -> Callable[..., lgb.Booster]:
    def train(objective: str = "binary", trees: int = 40, columns: int = 12, **parameters: object) -> lgb.Booster:
        x = rows_with_gaps(3000, columns)
        y = np.nan_to_num(x[:, 0]) + np.isnan(x[:, 1]) + x[:, 4] * np.nan_to_num(x[:, 3]) - np.nan_to_num(x[:, -1])
        settings = {"objective": objective, "verbose": -1, "num_threads": 1, "num_leaves": 31, **parameters}
        target = y if objective.startswith("regression") else (y > 0.3).astype(float)
        group = np.full(100, 30) if objective == "lambdarank" else None
        return lgb.train(settings, lgb.Dataset(x, target, group=group), trees)

    return train


@pytest.fixture
def checkpoint(tmp_path: Path) -> Callable[[treelite.Model], Path]:
    def write(model: treelite.Model) -> Path:
        model.serialize(tmp_path / "checkpoint.tl")
        return tmp_path / "checkpoint.tl"

    return write
