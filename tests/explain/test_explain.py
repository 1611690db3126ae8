from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from trident.contract import FUNNEL
from trident.explain.contributions import contributions
from trident.explain.journey import Trip, journey, ranks, travel
from trident.explain.page import journey_page
from trident.explain.served import request
from trident.explain.why_not import why_not
from trident.pipeline import Pipeline
from trident.safety import Safety
from trident.state.store import UserState
from trident_export.bystanders import Bystanders

NOW = 1_780_272_000


@pytest.fixture(scope="module")
def booster(tiny_release: Path):
    lightgbm = pytest.importorskip("lightgbm")
    return lightgbm.Booster(model_file=tiny_release / "ranker" / "model.txt")


@pytest.fixture
def pipeline(tiny_release: Path) -> Iterator[Pipeline]:
    items = Pipeline.open(tiny_release, Bystanders({})).release.items
    first = [items.ids[row] for row in range(6)]
    known = UserState(history=tuple(first[:2]), consumed=tuple(first[2:3]), shown=tuple(first[3:6]))
    opened = Pipeline.open(tiny_release, Bystanders({"u1": known}))
    yield opened
    opened.close()


@pytest.fixture
def trip(pipeline: Pipeline) -> Trip:
    return travel(pipeline, request("u1", timestamp=NOW, limit=10, region="US"))


def test_the_journey_ends_in_the_answer(pipeline, trip, booster):
    answer = pipeline(**request("u1", timestamp=NOW, limit=10, region="US"))
    told = journey(trip, booster)
    assert [item.item_id.encode() for item in told.items] == answer["item_id"][0].tolist()
    assert [item.score for item in told.items] == answer["score"][0].tolist()
    assert [step.left for step in told.steps] == answer["funnel"][0].tolist()


def test_every_item_that_left_the_funnel_has_a_reason(trip, booster):
    steps = journey(trip, booster).steps
    assert tuple(step.name for step in steps) == FUNNEL
    for before, step in pairwise(steps):
        assert sum(step.dropped.values()) == before.left - step.left, step


def test_score_is_probability_times_boosts(trip, booster):
    for item in journey(trip, booster).items:
        assert item.score == pytest.approx(item.probability * item.freshness * item.boost, rel=1e-6)
        assert item.moved == item.ranked - item.position


def test_contributions_add_up_to_the_score(trip, booster):
    rows = trip.tensors["feature_matrix"][:3]
    for row, found in zip(rows, contributions(booster, rows, 120), strict=True):
        expected = float(booster.predict(row[None], pred_contrib=True)[0, -1])
        raw = sum(c.log_odds for c in found) + expected
        assert raw == pytest.approx(float(booster.predict(row[None], raw_score=True)[0]), abs=1e-6)
        sizes = [abs(c.log_odds) for c in found]
        assert sizes == sorted(sizes, reverse=True)


def test_an_item_of_the_answer_is_said_to_be_there(trip):
    for position, item in enumerate(trip.tensors["item_id"][0].tolist(), 1):
        found = why_not(trip, item.decode())
        assert (found.step, found.by) == ("", None)
        assert found.reason.endswith(f"position {position}")


def test_every_other_item_is_lost_at_the_step_whose_count_it_is_missing_from(trip):
    """Of all items, as many are lost at each step as the funnel says."""
    items = trip.pipeline.release.items
    lost: dict[str, int] = dict.fromkeys(("", *FUNNEL), 0)
    for row in range(len(items)):
        lost[why_not(trip, items.ids[row].decode()).step] += 1
    left = trip.tensors["funnel"][0].tolist()
    for name, before, after in zip(FUNNEL[1:8], left, left[1:], strict=False):
        assert lost[name] == before - after, name
    assert lost["diverse"] + lost["returned"] == left[7] - left[-1]
    assert lost[""] == left[-1]


def test_what_was_seen_is_named(trip):
    items = trip.pipeline.release.items
    expected = {0: "clicked or bought lately", 2: "consumed", 3: "shown lately"}
    for row, words in expected.items():
        if trip.safety.passes(np.array([row]), *trip.viewer)[0]:
            found = why_not(trip, items.ids[row].decode())
            assert found.step == "not_seen_lately"
            assert words in found.reason


@pytest.mark.parametrize(
    ("column", "value", "step", "words"),
    [
        ("in_stock", False, "in_stock", "out of stock"),
        ("flagged", True, "safe", "flagged"),
        ("blocked", np.uint64(2**64 - 1), "region_allowed", "blocked"),
    ],
)
def test_an_item_taken_out_by_a_filter_is_lost_there(pipeline, trip, monkeypatch, column, value, step, words):
    row = int(trip.answered[0])
    for stage in (pipeline.candidates, pipeline.business_rules):
        changed = Safety(stage.safety.items, stage.safety.age_limit)
        getattr(changed._columns.now, column)[row] = value
        monkeypatch.setattr(stage, "safety", changed)
    again = travel(pipeline, request("u1", timestamp=NOW, limit=10, region="US"))
    found = why_not(again, pipeline.release.items.ids[row].decode())
    assert found.step == step
    assert words in found.reason


def test_an_item_beyond_the_cap_of_its_category_is_told_so(pipeline):
    trip = travel(pipeline, request("u1", timestamp=NOW, limit=40, region="US"))
    items, found = trip.pipeline.release.items, []
    for row in trip.tensors["candidate_rows"][0].tolist():
        told = why_not(trip, items.ids[row].decode())
        if told.step == "diverse":
            found.append(told)
            same = sum(items.category[r] == items.category[row] for r in trip.answered)
            assert same >= int(trip.rules.caps[items.category[row]])
    assert found


def test_an_item_that_the_release_does_not_have(trip):
    assert why_not(trip, "nothing of the kind").step == "catalogue"


def test_ranks_by_hand():
    assert ranks(np.array([0.2, 0.5, np.nan, 0.5]), np.array([7, 9, 3, 8])).tolist() == [3, 2, 4, 1]


def test_nothing_is_recorded(pipeline, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("recorded")

    monkeypatch.setattr(Bystanders, "record_shown", refuse)
    travel(pipeline, {**request("u1", timestamp=NOW), "record": np.array([[True]])})


def test_the_page_is_self_contained_and_escapes(trip, booster):
    page = journey_page(journey(trip, booster), "the <same>")
    assert "the &lt;same&gt;" in page
    assert not re.search(r"(src|href)=|<script", page)
    assert page.count('<tr><td class="n">') == 10


def test_a_journey_is_json(trip, booster):
    told = json.loads(json.dumps(journey(trip, booster).as_dict()))
    assert len(told["items"][0]["contributions"]) == 5
