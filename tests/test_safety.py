from __future__ import annotations

import numpy as np
import pytest

from trident.contract import UNKNOWN_REGION, UNLISTED_REGION
from trident.items import ItemColumns, blocked_words, write_items
from trident.safety import Safety

N, REGIONS = 500, 70  # which take two words
VIEWERS = [(UNKNOWN_REGION, -1), (UNLISTED_REGION, 15), (0, 17), (64, 18), (69, -1)]


@pytest.fixture(scope="module")
def blocked() -> list[list[int]]:
    rng = np.random.default_rng(2)
    return [rng.choice([0, 1, 63, 64, 69], rng.integers(0, 3), replace=False).tolist() for _ in range(N)]


@pytest.fixture(scope="module")
def safety(tmp_path_factory: pytest.TempPathFactory, blocked: list[list[int]]) -> Safety:
    """Over items of every kind, every seventh of them blocked elsewhere."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("safety") / "items"
    write_items(
        folder, [f"i{i}" for i in range(N)], [""] * N, (),
        features=np.zeros((N, 40)), vectors=np.zeros((N, 128)), category=np.full(N, -1), published_at=np.zeros(N),
        age_limit=rng.choice([0, 0, 16, 18], N), in_stock=rng.random(N) < 0.8, flagged=rng.random(N) < 0.2,
        blocked=blocked_words(blocked, REGIONS), popular=np.arange(N)[None],
    )  # fmt: skip
    safety = Safety(ItemColumns.open(folder))
    safety._columns.now.elsewhere[::7] = True
    return safety


def told(items: ItemColumns, blocked: list[int], row: int, region: int, age: int) -> tuple[bool, bool, bool]:
    """Whether an item is in stock, allowed where the viewer is, and safe: in words."""
    hidden = bool(blocked) if region == UNKNOWN_REGION else region in blocked
    here = bool(items.in_stock[row]) and not hidden and not (region < 0 and row % 7 == 0)
    return bool(items.in_stock[row]), here, here and not items.flagged[row] and items.age_limit[row] <= max(age, 0)


@pytest.mark.parametrize(("region", "age"), VIEWERS)
def test_an_item_is_shown_to_whom_the_columns_allow(safety, blocked, region, age):
    rows = np.random.default_rng(3).permutation(N)[:200]
    expected = [told(safety.items, blocked[row], row, region, age) for row in rows.tolist()]
    assert np.array_equal(np.transpose(safety.steps(rows, region, age)), expected)
    assert 0 < safety.passes(rows, region, age).sum() < len(rows)


@pytest.mark.parametrize(("region", "age"), VIEWERS)
def test_the_bitmap_and_its_counts_say_the_same_as_the_rows(safety, region, age):
    allowed, steps = safety.allowed(region, age), safety.steps(np.arange(N), region, age)
    assert np.array_equal(np.unpackbits(allowed.bitmap, bitorder="little")[:N].astype(bool), steps[-1])
    assert (allowed.in_stock, allowed.region_allowed, allowed.safe) == tuple(int(mask.sum()) for mask in steps)
