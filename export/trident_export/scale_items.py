"""Item columns of a scale release: plausible numbers, written block by block into mapped files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trident.contract import EMBEDDING_DIM, ITEM_FEATURES
from trident.features.registry import DAY, place
from trident.items import COLUMNS
from trident.strings import StringColumn
from trident_export.scale_rows import item_features
from trident_export.scale_vectors import Mixture, blocks
from trident_export.scale_words import CATEGORIES, REGIONS, SUBCATEGORIES, write_hashes, write_numbered

POPULAR = 1_000  # rows in each list
CONTENDERS = 20  # times as many items among which regions choose theirs
OUT_OF_STOCK, FLAGGED = 0.05, 0.005
BLOCKED = (*[0.02] * (REGIONS - 2), 0.1, 0.7)
"""Share of the items that are blocked in each region: the last two are for measuring under filters."""


def write_scale_items(folder: Path, mixture: Mixture, items: int, as_of: int) -> np.ndarray:
    """Write `items/` of so many items; returns the topic of each, (N,) int32."""
    folder.mkdir()
    write_numbered(folder, "ids", b"i", items)
    write_numbered(folder, "titles", b"Item ", items)
    StringColumn.write(folder, "categories", [f"category {n}".encode() for n in range(CATEGORIES)])
    write_hashes(folder, b"i", items)
    topics = np.empty(items, np.int32)
    with _columns(folder, items) as columns:
        for block, rows in blocks(items):
            topics[rows] = mixture.topics(block, rows.stop - rows.start)
            columns["vectors"][rows] = mixture.vectors(block, topics[rows])
            _write_block(columns, rows, mixture, topics[rows], as_of, np.random.default_rng([mixture.seed, 4, block]))
        views = np.array(columns["features"][:, place("item_views")])
    np.save(folder / "popular.npy", _popular(views, np.random.default_rng([mixture.seed, 5])))
    return topics


@contextmanager
def _columns(folder: Path, items: int) -> Iterator[dict[str, np.ndarray]]:
    """Every column but `popular` as a file to write to; what was written leaves memory as the system likes."""
    shapes = {"features": (ITEM_FEATURES,), "vectors": (EMBEDDING_DIM,), "blocked": (1,)}
    made = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, (items, *shapes.get(name, ())))
        for name, dtype in COLUMNS.items()
        if name != "popular"
    }
    yield {name: np.asarray(column) for name, column in made.items()}
    for column in made.values():
        column.flush()


def _write_block(
    columns: dict[str, np.ndarray],
    rows: slice,
    mixture: Mixture,
    topics: np.ndarray,
    as_of: int,
    rng: np.random.Generator,
) -> None:
    features = item_features(mixture.category[topics], topics % SUBCATEGORIES, rng)
    columns["features"][rows] = features
    columns["category"][rows] = mixture.category[topics]
    columns["published_at"][rows] = as_of - DAY * features[:, place("item_age_days")].astype(np.int64)
    columns["age_limit"][rows] = features[:, place("item_age_limit")]
    columns["in_stock"][rows] = rng.random(len(topics)) >= OUT_OF_STOCK
    columns["flagged"][rows] = rng.random(len(topics)) < FLAGGED
    blocked = rng.random((len(topics), REGIONS), np.float32) < np.array(BLOCKED, np.float32)
    columns["blocked"][rows, 0] = blocked @ (1 << np.arange(REGIONS, dtype=np.uint64))


def _popular(views: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The most viewed items, then a list of each region, which draws from more of them: (1 + regions, p) int32."""
    most = min(len(views), POPULAR * CONTENDERS)
    best = np.argpartition(-views, most - 1)[:most]
    best = best[np.lexsort((best, -views[best]))]
    chance = np.log(np.maximum(views[best], 1.0))
    lists = [np.arange(most), *(np.argsort(-chance - rng.gumbel(size=most), kind="stable") for _ in range(REGIONS))]
    return np.stack([best[order[:POPULAR]] for order in lists]).astype(np.int32)
