import logging
import threading

import pytest

from trident.state.breaker import FAILURES, INTERVAL_S, Breaker


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock=clock)


def fail(breaker, times=1):
    for _ in range(times):
        assert breaker.allows()
        breaker.failed()


def test_it_lets_everything_through_until_enough_failures_came_in_a_row(breaker):
    fail(breaker, FAILURES - 1)
    breaker.succeeded()
    fail(breaker, FAILURES - 1)
    assert breaker.allows()
    assert not breaker.open


def test_after_that_nobody_may_ask_until_the_interval_is_over(breaker, clock):
    fail(breaker, FAILURES)
    assert breaker.open
    assert not breaker.allows()
    clock.now += INTERVAL_S - 0.001
    assert not breaker.allows()


def test_then_one_request_probes_and_its_success_closes_it(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += INTERVAL_S
    assert [breaker.allows() for _ in range(5)] == [True, False, False, False, False]
    breaker.succeeded()
    assert not breaker.open
    fail(breaker, FAILURES - 1)
    assert breaker.allows()


def test_a_probe_that_fails_leaves_it_open_for_another_interval(breaker, clock):
    fail(breaker, FAILURES)
    for _ in range(3):
        clock.now += INTERVAL_S
        fail(breaker)
        assert not breaker.allows()


def test_a_probe_that_never_reports_is_followed_by_another(breaker, clock):
    fail(breaker, FAILURES)
    for _ in range(3):
        clock.now += INTERVAL_S
        assert breaker.allows()
        assert not breaker.allows()


def test_of_many_threads_one_gets_the_probe(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += INTERVAL_S
    allowed, start = [], threading.Barrier(16)

    def ask():
        start.wait()
        allowed.append(breaker.allows())

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(allowed) == 1


def test_opening_and_closing_are_told_once_each(breaker, clock, caplog):
    with caplog.at_level(logging.WARNING):
        fail(breaker, FAILURES)
        clock.now += INTERVAL_S
        fail(breaker)
        clock.now += INTERVAL_S
        assert breaker.allows()
        breaker.succeeded()
        breaker.succeeded()
    assert [record.message for record in caplog.records] == [
        "Redis does not answer: asked once every 1 s until it does",
        "Redis answers again",
    ]
