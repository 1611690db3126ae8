from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from trident.errors import InvalidInput
from trident_loadtest.mix import Mix, make_profile, profile_of

USERS = [f"u{i}" for i in range(1000)]
REGIONS = ["DE", "FR", "US"]


def test_the_same_seed_makes_the_same_requests_and_another_one_others():
    first, again, other = (make_profile(USERS, REGIONS, 500, seed) for seed in (1, 1, 2))
    assert first == again != other


def test_users_ask_by_their_rank_as_zipf_says():
    made = make_profile(USERS, REGIONS, 200_000, mix=Mix(zipf=0.8, cold=0, returning=0))
    counts = np.array([count for _, count in Counter(one.user_id for one in made).most_common()])
    expected = np.arange(1, 1001) ** -0.8
    expected *= 200_000 / expected.sum()
    assert counts[:5] == pytest.approx(expected[:5], rel=0.05)
    assert counts[:100].sum() == pytest.approx(expected[:100].sum(), rel=0.02)
    slope = np.polyfit(np.log(np.arange(1, 201)), np.log(counts[:200]), 1)[0]
    assert slope == pytest.approx(-0.8, abs=0.03)


def test_shares_are_those_of_the_mix():
    made = make_profile(USERS, REGIONS, 100_000, mix=Mix(cold=0.02))
    assert np.mean([one.device == "mobile" for one in made]) == pytest.approx(0.6, abs=0.01)
    assert np.mean([one.limit == 50 for one in made]) == pytest.approx(0.05, abs=0.005)
    assert np.mean([one.region != "" for one in made]) == pytest.approx(0.1, abs=0.005)
    assert np.mean([one.record for one in made]) == pytest.approx(0.95, abs=0.005)
    strangers = {one.user_id for one in made} - set(USERS)
    assert len(strangers) == sum(one.user_id in strangers for one in made) == pytest.approx(1000, rel=0.15)
    other_hours = [one.ago for one in made if one.ago]
    assert len(other_hours) == pytest.approx(1000, rel=0.15)
    assert min(other_hours) >= 7200  # beyond the hour for which an embedding is cached
    assert len({ago // 3600 for ago in other_hours}) == 22


def test_some_users_come_back_soon():
    def repeats(mix):
        made = [one.user_id for one in make_profile(USERS, REGIONS, 20_000, mix=mix)]
        return np.mean([made[i] in made[i - 50 : i] for i in range(50, len(made))])

    once, often = repeats(Mix(zipf=0, returning=0)), repeats(Mix(zipf=0, returning=0.3))
    assert once == pytest.approx(0.05, abs=0.01)
    assert often == pytest.approx(0.05 + 0.95 * 0.3, abs=0.03)


def test_a_release_brings_its_users_and_regions(tiny_release):
    made = profile_of(tiny_release, 300)
    assert made == profile_of(tiny_release, 300)
    assert len({one.user_id for one in made}) > 100


def test_without_users_there_is_no_profile():
    with pytest.raises(InvalidInput, match="at least one user"):
        make_profile([], REGIONS, 10)
