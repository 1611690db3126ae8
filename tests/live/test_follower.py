"""Filters that follow a real Redis."""

from __future__ import annotations

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from trident.bitmap import are_set, without
from trident.contract import UNKNOWN_REGION, UNLISTED_REGION
from trident.live.state import LiveState
from trident.live.updates import AT_ONCE, STATES, STREAM, ItemUpdates
from trident.safety import Safety
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.state.connection import connect

EVERYBODY = 99


def eventually(true: Callable[[], bool], seconds: float = 2.0) -> float:
    """Wait until `true`; how long that took."""
    began = time.perf_counter()
    while not true():
        assert time.perf_counter() - began < seconds, "it never happened"
        time.sleep(0.001)
    return time.perf_counter() - began


def seen(safety: Safety, item: int, region: int = UNLISTED_REGION) -> bool:
    """Whether a viewer of a region sees an item: the bitmap and the check at the end say the same.

    A change may come between the questions, so that the check is asked before and after the bitmap.
    """
    row = np.array([item])
    before = bool(safety.passes(row, region, EVERYBODY)[0])
    found = bool(are_set(safety.allowed(region, EVERYBODY).bitmap, row)[0])
    assert found in {before, bool(safety.passes(row, region, EVERYBODY)[0])}
    return found


@pytest.fixture
def item(said) -> int:
    """An item that everybody may see."""
    return int(np.flatnonzero(said["in_stock"] & ~said["flagged"] & ~said["blocked"].any(axis=1))[0])


def test_an_item_goes_out_of_stock_and_comes_back(updates, following, item):
    safety = following()
    before = safety.allowed(0, EVERYBODY)
    counts = (before.in_stock, before.region_allowed, before.safe)
    assert seen(safety, item, 0)
    updates.change({f"item-{item}": LiveState(in_stock=False)})
    assert eventually(lambda: not seen(safety, item, 0)) < 1
    now = safety.allowed(0, EVERYBODY)
    assert (now.in_stock, now.region_allowed, now.safe) == tuple(count - 1 for count in counts)
    updates.change({f"item-{item}": LiveState(in_stock=True)})
    eventually(lambda: seen(safety, item, 0))
    now = safety.allowed(0, EVERYBODY)
    assert (now.in_stock, now.region_allowed, now.safe) == counts
    assert safety.applied == 2
    assert not safety.stale


def test_a_block_in_one_region_leaves_the_others(updates, following, item, release):
    safety, regions = following(), release.vocabulary.regions
    updates.change({f"item-{item}": LiveState(blocked={regions[66]: True})})
    eventually(lambda: not seen(safety, item, 66))
    assert seen(safety, item, 65)
    assert seen(safety, item, 2)
    assert seen(safety, item, UNLISTED_REGION)
    assert not seen(safety, item, UNKNOWN_REGION)
    updates.change({f"item-{item}": LiveState(blocked={regions[66]: False})})
    eventually(lambda: seen(safety, item, 66))


def test_a_block_in_a_region_that_the_release_does_not_list_holds_for_all_such_regions(updates, following, item):
    safety = following()
    updates.change({f"item-{item}": LiveState(blocked={"ZZ": True})})
    eventually(lambda: not seen(safety, item, UNLISTED_REGION))
    assert not seen(safety, item, UNKNOWN_REGION)
    assert seen(safety, item, 0)


def test_an_unblocked_item_of_the_release_is_seen(updates, following, release, said):
    item, region = next(
        (i, r) for i, r in np.argwhere(said["blocked"]).tolist() if said["in_stock"][i] and not said["flagged"][i]
    )
    safety = following()
    assert not seen(safety, item, region)
    updates.change({f"item-{item}": LiveState(blocked={release.vocabulary.regions[region]: False})})
    eventually(lambda: seen(safety, item, region))


def test_what_cannot_be_read_hides_its_item(updates, following, item):
    safety = following()
    assert seen(safety, item)
    updates.client.hset(STATES, f"item-{item}", "junk")
    updates.client.xadd(STREAM, {"item": f"item-{item}", "state": "junk"})
    eventually(lambda: not seen(safety, item))
    assert not seen(following(), item)


def test_entries_of_somebody_else_break_nothing(updates, following, item):
    safety = following()
    assert seen(safety, item)
    updates.client.xadd(STREAM, {"what": "ever"})
    updates.change({"an item of another release": LiveState(flagged=True), f"item-{item}": LiveState(flagged=True)})
    eventually(lambda: not seen(safety, item))


@pytest.mark.parametrize("seed", range(3))
def test_after_any_changes_the_filters_are_those_of_columns_that_say_the_same(
    updates, following, release, said, release_that_says, seed
):
    """Restarted or not; with bitmaps that were kept from before, and with ones that are made afterwards."""
    chance, running = random.Random(seed), following()
    viewers = [(region, age) for region in (UNKNOWN_REGION, 0, 3, 64, 69) for age in (-1, 12, 40)]
    columns = {name: column.copy() for name, column in said.items()}
    for _ in range(12):
        for viewer in viewers[::2]:
            running.allowed(*viewer)
        changes: dict[str, LiveState] = {}
        for item in chance.sample(range(len(release.items)), chance.choice((1, 5, 60))):
            changes[f"item-{item}"] = drawn = draw(chance, release.vocabulary.regions)
            record(columns, item, drawn, release.vocabulary.regions)
        updates.change(changes)
        for item in chance.sample(range(len(release.items)), 5):
            updates.clear([f"item-{item}"])
            for name, column in columns.items():
                column[item] = said[name][item]
    expected, restarted = Safety(release_that_says(**columns).items), following()
    eventually(lambda: same(running, expected, (0, 40)))
    for safety in (running, restarted):
        assert all(same(safety, expected, viewer) for viewer in viewers)


def draw(chance: random.Random, regions: tuple[str, ...]) -> LiveState:
    blocked = {region: chance.random() < 0.5 for region in chance.sample(regions, chance.choice((0, 0, 1, 3)))}
    return LiveState(chance.choice((None, True, False)), chance.choice((None, None, True, False)), blocked)


def record(columns: dict[str, np.ndarray], item: int, state: LiveState, regions: tuple[str, ...]) -> None:
    for name in ("in_stock", "flagged"):
        if getattr(state, name) is not None:
            columns[name][item] = getattr(state, name)
    for region, blocked in state.blocked.items():
        columns["blocked"][item, regions.index(region)] = blocked


def same(one: Safety, other: Safety, viewer: tuple[int, int]) -> bool:
    here, there = one.allowed(*viewer), other.allowed(*viewer)
    rows = np.arange(len(one.items))
    return (
        np.array_equal(here.bitmap, there.bitmap)
        and (here.in_stock, here.region_allowed, here.safe) == (there.in_stock, there.region_allowed, there.safe)
        and np.array_equal(one.passes(rows, *viewer), other.passes(rows, *viewer))
    )


def test_a_process_that_starts_knows_what_the_stream_has_forgotten(updates, following, item):
    updates.change({f"item-{item}": LiveState(in_stock=False)})
    updates.client.xtrim(STREAM, maxlen=0, approximate=False)
    assert not seen(following(), item)


def test_a_process_that_was_too_slow_for_the_stream_misses_nothing(updates, following, item):
    safety = following()
    with safety._columns.lock:  # it cannot apply anything
        updates.change({f"item-{item}": LiveState(in_stock=False)})
        time.sleep(0.05)
        updates.change({f"item-{i}": LiveState(flagged=True) for i in range(3)})
        updates.change({f"other-{i}": LiveState(flagged=True) for i in range(AT_ONCE)})
        updates.client.xtrim(STREAM, maxlen=5, approximate=False)
    eventually(lambda: not seen(safety, item) and not any(seen(safety, i) for i in range(3)))


def test_what_was_cleared_while_nobody_listened_is_as_in_the_release_again(updates, following, item):
    safety = following()
    updates.change({f"item-{item}": LiveState(in_stock=False)})
    eventually(lambda: not seen(safety, item))
    with safety._columns.lock:
        updates.change({"other": LiveState(flagged=True)})
        time.sleep(0.05)
        updates.clear([f"item-{item}"])
        updates.client.xtrim(STREAM, maxlen=0, approximate=False)
        updates.clear(["other"])
    eventually(lambda: seen(safety, item))


def test_a_redis_that_lost_its_memory_shows_nothing_again(updates, following, item):
    safety = following()
    updates.change({f"item-{item}": LiveState(flagged=True)})
    eventually(lambda: not seen(safety, item))
    other = int(item == 0)
    with safety._columns.lock:  # it cannot come back before somebody has changed something else
        updates.change({"another": LiveState(flagged=True)})
        updates.client.flushall()
        updates.client.client_kill_filter(_type="normal", skipme=True)
        updates.change({f"item-{other}": LiveState(flagged=True)})
    eventually(lambda: not seen(safety, other))
    time.sleep(0.5)
    assert not seen(safety, item)


def test_a_stopped_redis_is_told_within_two_seconds_and_forgotten_when_it_goes_on(release, following, item):
    with EmbeddedRedis() as redis:
        safety = following(redis.url)
        updates = ItemUpdates(connect(redis.url, 1.0))
        time.sleep(0.6)
        assert safety.lag_seconds < 0.5
        os.kill(redis.child.pid, signal.SIGSTOP)
        assert 0.5 < eventually(lambda: safety.stale, 3) < 2
        late = following(redis.url)
        assert late.stale
        assert seen(late, item)
        os.kill(redis.child.pid, signal.SIGCONT)
        eventually(lambda: not safety.stale and not late.stale, 3)
        updates.change({f"item-{item}": LiveState(in_stock=False)})
        eventually(lambda: not seen(safety, item) and not seen(late, item))
    assert eventually(lambda: safety.stale, 3) > 0.5


def test_a_bitmap_that_is_lent_to_a_search_does_not_change_under_it(updates, following, item, said):
    safety = following()
    allowed = safety.allowed(0, EVERYBODY)
    other = int(np.flatnonzero(are_set(allowed.bitmap, np.arange(len(said["flagged"]))))[-1])
    with without(allowed.bitmap, np.array([item])) as hidden:
        assert hidden == 1
        lent = allowed.bitmap.copy()
        updates.change({f"item-{i}": LiveState(in_stock=False) for i in (item, other)})
        eventually(lambda: safety.applied == 2)
        assert np.array_equal(allowed.bitmap, lent)
        assert not safety.passes(np.array([item, other]), 0, EVERYBODY).any()
    assert not seen(safety, item, 0)
    assert not seen(safety, other, 0)


def test_the_thread_ends_when_it_is_closed_and_when_nobody_holds_the_filters_any_more(following, release, running):
    def threads() -> int:
        return sum(thread.name == "item updates" for thread in threading.enumerate())

    before = threads()
    closed = following()
    assert threads() == before + 1
    closed.close()
    assert threads() == before
    dropped = Safety.live(release, Settings(redis_url=running.url))
    assert threads() == before + 1
    del dropped
    gc.collect()
    eventually(lambda: threads() == before)


def test_writers_at_the_same_time_lose_nothing(updates, running):
    def write(name: str) -> None:
        mine = ItemUpdates(connect(running.url, 5.0))
        for _ in range(20):
            mine.change({"a": LiveState(blocked={name: True})})

    threads = [threading.Thread(target=write, args=(name,)) for name in ("AA", "BB", "CC")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (state,) = updates.of(["a"])
    assert state.blocked == {"AA": True, "BB": True, "CC": True}
    assert updates.client.xlen(STREAM) == 60
    assert updates.client.hlen(STATES) == 1
