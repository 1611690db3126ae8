"""What a client knows of the experiment, and when it asks."""

from __future__ import annotations

import numpy as np
import pytest

from trident.experiment import in_canary
from trident_client import arms
from trident_client.arms import Arms
from trident_client.errors import DeadlineExceeded, InvalidRequest, NotServed

HERE = [u for u in (f"u{n}" for n in range(30)) if in_canary(u.encode(), "half", 0.5)]
THERE = [u for u in (f"u{n}" for n in range(30)) if not in_canary(u.encode(), "half", 0.5)]
SAID = {"experiment": np.array([[b"half"]], np.object_), "canary_share": np.array([[0.5]], np.float32)}


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(arms.time, "monotonic", lambda: now[0])
    return now


def names(known: Arms, *users: str) -> list[str]:
    return [model.name for model in known.models(users)]


def test_users_go_to_their_arm(clock):
    known = Arms(10)
    assert names(known, HERE[0]) == ["recommend"]  # nothing is known
    known.read(SAID.get)
    assert names(known, HERE[0], HERE[1]) == ["recommend_canary", "recommend"]
    assert names(known, THERE[0]) == ["recommend"]
    assert names(known, HERE[0], THERE[0]) == ["recommend_ab", "recommend"]


def test_it_is_read_by_one_call_at_a_time_and_every_10_seconds(clock):
    known = Arms(10)
    assert [known.due(), known.due()] == [True, False]
    known.read(SAID.get)
    clock[0] += 9.9
    assert not known.due()
    clock[0] += 0.2
    assert [known.due(), known.due()] == [True, False]


def test_a_read_that_fails_leaves_what_is_known_and_is_tried_again_soon_when_nothing_is(clock):
    known = Arms(10)
    assert known.due()
    with known.reading():
        raise DeadlineExceeded("late")
    assert names(known, HERE[0]) == ["recommend"]
    clock[0] += 1.1
    assert known.due()
    known.read(SAID.get)
    clock[0] += 11
    assert known.due()
    with known.reading():
        raise DeadlineExceeded("late")
    assert names(known, HERE[0])[0] == "recommend_canary"
    clock[0] += 1.1
    assert not known.due()


def test_a_server_without_a_router_has_no_canary(clock):
    known = Arms(10)
    known.read(SAID.get)
    with known.reading():
        raise NotServed("Request for unknown model")
    assert names(known, HERE[0]) == ["recommend"]
    assert not known.due()


def test_a_canary_that_is_gone_is_read_about_at_once(clock):
    known = Arms(1000)
    known.read(SAID.get)
    assert not known.due()
    with known.trying():
        raise NotServed("has no available versions")
    assert known.due()


def test_what_cannot_be_read_is_passed_over(clock):
    known = Arms(10)
    known.read({}.get)
    known.read({"experiment": np.empty((0, 1)), "canary_share": np.empty((0, 1))}.get)
    assert names(known, HERE[0]) == ["recommend"]


def test_never_is_never(clock):
    known = Arms(None)
    clock[0] += 1e6
    assert not known.due()


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "10"])
def test_seconds_that_cannot_be_are_refused(wrong):
    with pytest.raises(InvalidRequest, match="canary_refresh: expected seconds"):
        Arms(wrong)
