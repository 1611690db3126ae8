"""A small world with latent tastes, and towers trained on it once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from trident_export.towers import TowerConfig, TowerData, Towers, train

ITEMS, USERS, PAIRS, TASTES = 300, 400, 6_000, 8
QUICK = TowerConfig(epochs=6, batch_size=256, uniform_candidates=64, recall_at=20)


@dataclass(frozen=True)
class World:
    """Pairs in the order of time; items from `fresh` on have no training pair."""

    train: TowerData
    validation: TowerData
    unseen: TowerData  # pairs of the fresh items
    fresh: int


def make_world(seed: int = 0) -> World:
    """Users of one taste of 8 pick items of that taste, popular ones more often."""
    rng = np.random.default_rng(seed)
    taste, category = rng.integers(TASTES, size=USERS), rng.integers(TASTES, size=ITEMS)
    users = rng.integers(USERS, size=PAIRS)
    score = 3.0 * (taste[users][:, None] == category) - 0.7 * np.log(np.arange(ITEMS) % 250 + 5.0)
    items = np.argmax(score + rng.gumbel(size=score.shape), axis=1)
    histories = np.full((PAIRS, 50), -1, np.int64)
    past: dict[int, list[int]] = {}
    for pair, (user, item) in enumerate(zip(users.tolist(), items.tolist(), strict=True)):
        before = past.setdefault(user, [])
        histories[pair, : len(before)] = before[::-1]
        before.append(item)
        del before[:-50]
    data = TowerData(
        _rows(rng, PAIRS, np.full(PAIRS, np.nan), (histories >= 0).sum(axis=1)),
        histories,
        items,
        _rows(rng, ITEMS, category, rng.integers(10, size=ITEMS)),
        item_categories={0: TASTES},
    )
    return _split(data, fresh=250)


def _rows(rng: np.random.Generator, rows: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    found = rng.normal(size=(rows, 40)).astype(np.float32)
    found[:, 0], found[:, 1] = first, second
    found[:, 2] = np.where(rng.random(rows) < 0.3, np.nan, found[:, 2])
    found[:, 5:] = 0
    return found


def _split(data: TowerData, fresh: int) -> World:
    old = data.items < fresh
    early = np.arange(PAIRS) < 0.85 * PAIRS
    histories = np.where(data.histories < fresh, data.histories, -1)

    def part(chosen: np.ndarray) -> TowerData:
        pairs = {"user_rows": data.user_rows[chosen], "items": data.items[chosen]}
        return replace(data, **pairs, histories=histories[chosen])

    return World(part(old & early), part(old & ~early), part(~old & ~early), fresh)


@pytest.fixture(scope="session")
def world() -> World:
    return make_world()


@pytest.fixture(scope="session")
def towers(world: World) -> Towers:
    torch.set_num_threads(1)
    return train(world.train, world.validation, QUICK)
