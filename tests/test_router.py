"""The router without a server: `ask` is a function."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trident.canary import Canary
from trident.contract import CANARY_SHARE, EXPERIMENT, ITEM_ID, RECOMMEND, RELEASE, SCORE
from trident.errors import ReleaseError
from trident.experiment import in_canary
from trident.router import ArmFailed, Router

CANARY = Canary("half", 0.5, 2)
ARMS = {"recommend": 1, "recommend_canary": 2}


def users(*names: str) -> dict[str, np.ndarray]:
    return {"user_id": np.array([[name.encode()] for name in names], np.object_)}


THERE = [u for u in (f"u{n}" for n in range(30)) if in_canary(u.encode(), "half", 0.5)]
NOT_THERE = [u for u in (f"u{n}" for n in range(30)) if not in_canary(u.encode(), "half", 0.5)]


class Arms:
    """Answers with one item per user: his name and his arm; what `failing` names answers with an error."""

    def __init__(self, *failing: str, width: int = 1) -> None:
        self.asked: list[tuple[str, int]] = []
        self.failing, self.width = failing, width

    def __call__(self, contract, tensors, wanted):
        names = tensors["user_id"]
        self.asked.append((contract.name, len(names)))
        if contract.name in self.failing:
            raise ArmFailed(f"{contract.name}: broken", 13)
        width = self.width if contract is RECOMMEND else 1
        made = {
            "item_id": np.tile(names, width),
            "score": np.ones((len(names), width), np.float32),
            "release": np.full((len(names), 1), ARMS[contract.name]),
        }
        return {spec.name: made[spec.name] for spec in wanted}


@pytest.fixture
def beside():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_mixed_request_is_split_and_put_together_in_order(beside):
    arms = Arms(width=3)
    mixed = [THERE[0], NOT_THERE[0], NOT_THERE[1], THERE[1], NOT_THERE[2]]
    answer = Router(CANARY, arms, beside)(users(*mixed), [ITEM_ID, SCORE, RELEASE, EXPERIMENT, CANARY_SHARE])
    assert answer["release"].ravel().tolist() == [2, 1, 1, 2, 1]
    assert [row[0].decode() for row in answer["item_id"]] == mixed
    assert answer["item_id"][0].tolist() == [THERE[0].encode(), b"", b""]  # the narrower answer is padded
    assert np.isnan(answer["score"][0, 1:]).all()
    assert answer["experiment"].tolist() == [[b"half"]] * 5
    assert answer["canary_share"].dtype == np.float32
    assert sorted(arms.asked) == [("recommend", 3), ("recommend_canary", 2)]


def test_who_wants_the_share_alone_asks_nobody(beside):
    arms = Arms()
    answer = Router(CANARY, arms, beside)({}, [EXPERIMENT, CANARY_SHARE])
    assert (answer["experiment"].tolist(), answer["canary_share"].tolist(), arms.asked) == ([[b"half"]], [[0.5]], [])


def test_without_a_canary_all_users_go_to_recommend(beside):
    arms = Arms()
    answer = Router(None, arms, beside)(users(*THERE), [ITEM_ID, EXPERIMENT])
    assert arms.asked == [("recommend", len(THERE))]
    assert answer["experiment"].tolist() == [[b""]] * len(THERE)


@pytest.mark.parametrize("names", [THERE[:2], [THERE[0], NOT_THERE[0]]])
def test_a_canary_that_fails_is_made_up_for(beside, names):
    answer = Router(CANARY, Arms("recommend_canary"), beside)(users(*names), [RELEASE])
    assert answer["release"].ravel().tolist() == [1, 1]


def test_the_error_of_recommend_is_the_answer(beside):
    for names in (THERE[:1], NOT_THERE[:1], [THERE[0], NOT_THERE[0]]):
        with pytest.raises(ArmFailed, match="recommend: broken"):
            Router(CANARY, Arms("recommend", "recommend_canary"), beside)(users(*names), [RELEASE])


def test_both_arms_run_at_the_same_time(beside):
    meeting = threading.Barrier(2, timeout=5)
    arms = Arms()

    def ask(contract, tensors, wanted):
        meeting.wait()
        return arms(contract, tensors, wanted)

    answer = Router(CANARY, ask, beside)(users(THERE[0], NOT_THERE[0]), [RELEASE])
    assert answer["release"].ravel().tolist() == [2, 1]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"user_id": np.array([b"u1"], np.object_)},
        users(*[THERE[0]] * 65),
        {**users(*THERE[:2]), "limit": np.array([[5]], np.int32)},
    ],
    ids=["no user", "one axis", "65 users", "rows that differ"],
)
def test_what_recommend_will_refuse_is_left_to_it(beside, given):
    asked = []

    def ask(contract, tensors, wanted):
        asked.append((contract.name, tensors))
        raise ArmFailed("refused", 3)

    with pytest.raises(ArmFailed, match="refused"):
        Router(CANARY, ask, beside)(given, [RELEASE])
    assert asked == [("recommend", given)]


def test_a_canary_is_what_its_config_says():
    assert Canary.of_parameters(Canary("a.b-c_1", 0.05, 7, "now", "me").parameters()) == Canary(
        "a.b-c_1", 0.05, 7, "now", "me"
    )
    assert Canary.of_parameters({}) is None
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ReleaseError, match="share: expected 0 % to 100 %"):
            Canary("a", share, 1)
    for name in ("", "a b", "ü", "x" * 65):
        with pytest.raises(ReleaseError, match="experiment: expected"):
            Canary(name, 0.1, 1)
    with pytest.raises(ReleaseError, match="cannot be read"):
        Canary.of_parameters({"experiment": "a", "share": "much", "release": "1"})
