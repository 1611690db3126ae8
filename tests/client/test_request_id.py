import numpy as np
import pytest

from trident_client.errors import InvalidRequest, Unreachable
from trident_client.recommender import _Blocking
from trident_client.replicas import Replicas


class Refusing:
    def __init__(self, asked: list[str]) -> None:
        self.asked = asked

    def infer(self, model, tensors, seconds, request):
        self.asked.append(request)
        raise Unreachable("gone")


@pytest.fixture
def asked():
    return []


@pytest.fixture
def recommender(asked):
    return _Blocking(Replicas([Refusing(asked), Refusing(asked)]), 1.0, ["popular"])


def test_all_attempts_of_a_call_have_one_id_and_each_call_another(recommender, asked):
    recommender.recommend("u1")
    recommender.recommend("u1")
    assert asked[0] == asked[1] != asked[2] == asked[3]
    assert all(len(request) == 32 for request in asked)


def test_the_callers_id_is_sent_as_it_is(recommender, asked):
    recommender.recommend("u1", request_id="order 66: ü")
    assert asked == ["order 66: ü"] * 2


@pytest.mark.parametrize("wrong", ["", "x" * 129, "a\nb", 7, b"r1", "\ud800", np.str_("a\0")])
def test_an_id_that_cannot_be_sent_is_refused(recommender, asked, wrong):
    with pytest.raises(InvalidRequest, match="request_id: expected"):
        recommender.recommend("u1", request_id=wrong)
    assert asked == []
