"""What a release answers when it is built, it must answer again before it serves."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trident.contract import DEVICES, MAX_LIMIT
from trident.errors import ReleaseError
from trident.release import Release
from trident_export.publishing.golden import STRANGER, golden_requests, replay


@pytest.fixture
def release(tiny_release: Path) -> Release:
    return Release.open(tiny_release)


def with_golden(release: Release, **changes: Any) -> Release:
    """The release with another first golden request."""
    first, *rest = deepcopy(list(release.manifest.golden))
    return replace(release, manifest=replace(release.manifest, golden=({**first, **changes}, *rest)))


def test_they_are_of_known_users_and_strangers_on_every_device_short_and_long(release):
    golden = release.manifest.golden
    assert len(golden) == 8
    assert [g["user_id"] for g in golden].count(STRANGER) == 2
    assert {g["device"] for g in golden} == {"", *DEVICES}
    assert {"", *release.vocabulary.regions} >= {g["region"] for g in golden} > {""}
    assert {g["timestamp"] for g in golden} == {release.manifest.as_of}
    assert len(golden[0]["item_id"]) == golden[0]["limit"] == MAX_LIMIT
    assert all(len(set(g["item_id"])) == len(g["score"]) == g["limit"] for g in golden)


def test_the_same_release_gives_the_same_answers_whatever_redis_the_environment_names(release, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert golden_requests(release.folder) == release.manifest.golden
    replay(release)


def test_known_users_get_what_strangers_do_not(release):
    known, *_, stranger = release.manifest.golden
    assert known["item_id"][:5] != stranger["item_id"]


def test_a_difference_names_the_request_and_both_values(release):
    first = release.manifest.golden[0]
    items, scores = first["item_id"], first["score"]
    others = [items[1], items[0], *items[2:]]
    text = rf"golden request 1, user '{first['user_id']}', place 1: expected item {items[1]} .* got {items[0]} with"
    with pytest.raises(ReleaseError, match=text):
        replay(with_golden(release, item_id=others))
    with pytest.raises(ReleaseError, match=r"place 3: expected item .* with score .*, got .* with"):
        replay(with_golden(release, score=[*scores[:2], scores[2] * 1.001, *scores[3:]]))
    with pytest.raises(ReleaseError, match="expected 49 items, got 50"):
        replay(with_golden(release, item_id=items[1:], score=scores[1:]))


def test_scores_may_differ_in_their_last_bits(release):
    replay(with_golden(release, score=[score * (1 + 5e-6) for score in release.manifest.golden[0]["score"]]))


def test_items_of_one_score_may_change_places(monkeypatch, release):
    from trident_export.publishing import golden

    asked = {"user_id": "u", "item_id": ["a", "b", "c"], "score": [0.5, 0.5, 0.25]}
    golden._compare(1, asked, {"item_id": ["b", "a", "c"], "score": [0.5, 0.5, 0.25]})
    with pytest.raises(ReleaseError, match=r"place 2: expected item b with score 0\.5, got c"):
        golden._compare(1, asked, {"item_id": ["a", "c", "b"], "score": [0.5, 0.5, 0.25]})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"limit": 0}, "limit.*expected 1 to 50, got 0"),
        ({"limit": "20"}, "limit: expected int, got '20'"),
        ({"timestamp": 7}, "timestamp: expected [0-9]+, got 7"),
        ({"more": 1}, "golden request 1: expected user_id"),
        ({"score": [float("nan")] * 50}, "expected a finite score per item"),
        ({"item_id": [], "score": []}, "expected an answer with items, got none"),
    ],
)
def test_what_is_no_golden_request_is_said(release, changes, text):
    with pytest.raises(ReleaseError, match=text):
        replay(with_golden(release, **changes))


def test_a_release_without_them_is_refused(release):
    bare = replace(release, manifest=replace(release.manifest, golden=()))
    with pytest.raises(ReleaseError, match="expected golden requests, got none: build the release again"):
        replay(bare)
