"""What the rules cost per request: 500 scored candidates of one user, with the default rules and with others.

    python benchmarks/rules.py

`docs/benchmarks/rules.md` has a printed result.
"""

from __future__ import annotations

import os
import platform
import tempfile
import time
from pathlib import Path

import numpy as np

from trident.items import ItemColumns, write_items
from trident.rules import DAY, Boost, Pin, Rules
from trident.rules.answer import RuleSet

ITEMS, CATEGORIES, CANDIDATES, LIMIT, REQUESTS, NOW = 100_000, 24, 500, 20, 2_000, 1_700_000_000
RULES = {
    "default": Rules(),
    "difference 0.3": Rules(diversity=0.3),
    "a fifth new": Rules(new_share=0.2),
    "3 pinned": Rules(pinned=tuple(Pin(f"i{n}", n) for n in (1, 2, 3))),
    "1,000 items and 2 categories boosted": Rules(
        boosted=(*(Boost(1.2, item=f"i{n}") for n in range(1000)), Boost(1.1, category="c0"), Boost(0.9, category="c1"))
    ),
}


def main() -> None:
    """Print a line per set of rules."""
    rng = np.random.default_rng(7)
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory(prefix="trident-rules-") as folder:
        items = catalogue(Path(folder), rng)
        asked = [(candidates(rng), rng.random(CANDIDATES) ** 4) for _ in range(REQUESTS)]
        for name, rules in RULES.items():
            p50, p99 = np.percentile(timed(RuleSet.over(rules, items), asked), (50, 99))
            print(f"{name:37} p50 {p50:.3f} ms, p99 {p99:.3f} ms")


def catalogue(folder: Path, rng: np.random.Generator) -> ItemColumns:
    """Items of every category, a third of them new, three with a place in every answer."""
    write_items(
        folder,
        [f"i{row}" for row in range(ITEMS)],
        [""] * ITEMS,
        [f"c{code}" for code in range(CATEGORIES)],
        features=np.zeros((ITEMS, 40), np.float32),
        vectors=rng.normal(size=(ITEMS, 128)),
        category=rng.integers(0, CATEGORIES, ITEMS),
        published_at=NOW - rng.choice([1, 30, 300], ITEMS) * DAY,
        age_limit=np.zeros(ITEMS),
        in_stock=np.ones(ITEMS),
        flagged=np.zeros(ITEMS),
        blocked=np.zeros((ITEMS, 1)),
        popular=np.zeros((1, 1)),
    )
    return ItemColumns.open(folder)


def candidates(rng: np.random.Generator) -> np.ndarray:
    """Distinct rows, the pinned ones among them."""
    return np.concatenate([[1, 2, 3], 4 + rng.choice(ITEMS - 4, CANDIDATES - 3, replace=False)])


def timed(rules: RuleSet, asked: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Milliseconds per answer."""
    allowed, spent = np.ones(CANDIDATES, bool), []
    for rows, probability in asked:
        started = time.perf_counter()
        rules.answer(rows, probability, LIMIT, NOW, allowed)
        spent.append(1000 * (time.perf_counter() - started))
    return np.array(spent)


if __name__ == "__main__":
    main()
