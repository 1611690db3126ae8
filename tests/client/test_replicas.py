from __future__ import annotations

import pytest

from trident_client.errors import InvalidRequest, Unreachable
from trident_client.replicas import Replicas, addresses


def _order(replicas: Replicas[str]) -> list[str]:
    return [transport for _, transport, _ in replicas.attempts(1.0)]


@pytest.mark.parametrize("urls", ["a:1, b:2", ["a:1", "b:2"], ("a:1", "b:2")])
def test_several_addresses_come_as_text_or_as_a_list(urls):
    assert addresses(urls) == ["a:1", "b:2"]


def test_an_ipv6_address_keeps_its_brackets():
    assert addresses("[::1]:8001") == ["[::1]:8001"]


@pytest.mark.parametrize("urls", ["", "a", "a:", ":8001", "http://a:8001", "a:8001/", "a:1,,b:2", [], "a:eight"])
def test_anything_else_is_refused_with_what_came(urls):
    with pytest.raises(InvalidRequest, match="expected host:port or a list of them, got"):
        addresses(urls)


def test_calls_start_at_each_replica_in_turn():
    replicas = Replicas(["a", "b", "c"])
    assert [_order(replicas) for _ in range(3)] == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"]]


def test_a_replica_that_failed_comes_last():
    replicas = Replicas(["a", "b"])
    attempts = replicas.attempts(1.0)
    with attempts.trying(0):
        raise Unreachable("gone")
    assert str(attempts.error) == "gone"
    assert [_order(replicas) for _ in range(2)] == [["b", "a"], ["b", "a"]]


def test_a_bad_request_goes_to_the_caller():
    with pytest.raises(InvalidRequest), Replicas(["a"]).attempts(1.0).trying(0):
        raise InvalidRequest("bad everywhere")


def test_the_first_of_two_gets_half_of_the_time_and_the_last_all_that_is_left():
    first, last = (seconds for _, _, seconds in Replicas(["a", "b"]).attempts(1.0))
    assert first == pytest.approx(0.5, abs=0.05)
    assert last == pytest.approx(1.0, abs=0.05)


def test_no_attempt_is_made_when_the_time_is_up():
    assert list(Replicas(["a", "b"]).attempts(-1.0)) == []
