from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trident.items import ItemColumns, write_items
from trident.rules import DAY

NOW = 1_700_000_000
CATEGORIES = ("music", "films", "games", "news")


def catalogue(
    folder: Path, categories: list[str], age_days: list[float], vectors: np.ndarray | None = None
) -> ItemColumns:
    """Items i0, i1, … of these categories ("" unknown) and ages (NaN unknown)."""
    n, codes = len(categories), {name: code for code, name in enumerate(CATEGORIES)}
    ages = np.array(age_days, float)
    write_items(
        folder,
        [f"i{i}" for i in range(n)],
        [""] * n,
        CATEGORIES,
        features=np.zeros((n, 40)),
        vectors=np.zeros((n, 128)) if vectors is None else vectors,
        category=[codes.get(name, -1) for name in categories],
        published_at=np.where(np.isnan(ages), 0, NOW - np.nan_to_num(ages) * DAY),
        age_limit=np.zeros(n),
        in_stock=np.ones(n),
        flagged=np.zeros(n),
        blocked=np.zeros((n, 1)),
        popular=np.arange(n)[None],
    )
    return ItemColumns.open(folder)


@pytest.fixture
def items_of(tmp_path: Path):
    """Makes a catalogue of categories, ages and vectors."""
    return lambda categories, age_days=None, vectors=None: catalogue(
        tmp_path / "items", categories, age_days or [1e4] * len(categories), vectors
    )


@pytest.fixture(scope="session")
def many_items(tmp_path_factory: pytest.TempPathFactory) -> ItemColumns:
    """150 items of every category, unknown ones among them, half of them new, every tenth without a vector."""
    rng = np.random.default_rng(5)
    categories = rng.choice([*CATEGORIES, ""], 150, p=[0.5, 0.2, 0.15, 0.1, 0.05]).tolist()
    ages = rng.choice([0.5, 3, 6.9, 7.1, 40, 400, np.nan], 150).tolist()
    vectors = rng.normal(size=(150, 128)) + 2 * rng.normal(size=(5, 128))[rng.integers(0, 5, 150)]
    vectors[::10] = 0
    return catalogue(tmp_path_factory.mktemp("many") / "items", categories, ages, vectors)
