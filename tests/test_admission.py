from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

from trident.admission import BUSY, FILE, FORGOTTEN, PER_CORE, Admission
from trident.errors import Unavailable


@pytest.fixture
def path(tmp_path):
    return tmp_path / "under-way"


S = 1_000_000_000
"""Nanoseconds in a second."""


def test_as_many_as_may_be_under_way_are_admitted_and_the_next_one_is_told_so(path):
    admission = Admission(path, 3)
    for _ in range(3):
        admission.enter(now=100 * S)
    with pytest.raises(Unavailable, match=f"{BUSY}, 3: ask another replica, or later"):
        admission.enter(now=100 * S)


def test_after_too_many_fewer_are_admitted_until_few_are_left(path):
    admission = Admission(path, 10)
    tickets = [admission.enter(now=S) for _ in range(10)]
    for under_way in range(10, 2, -1):
        with pytest.raises(Unavailable, match=f"{BUSY}, {under_way}:"):
            admission.enter(now=S)
        admission.leave(tickets.pop())
    assert len(tickets) == 2  # less than OVERLOADED of the most
    tickets.append(admission.enter(now=S))
    with pytest.raises(Unavailable):
        admission.enter(now=S)
    while len(tickets) > 1:  # WELL of the most
        admission.leave(tickets.pop())
    for _ in range(9):
        admission.enter(now=S)
    with pytest.raises(Unavailable, match=f"{BUSY}, 10:"):
        admission.enter(now=S)


def test_it_is_quiet_up_to_a_fifth_of_what_may_be_under_way(path):
    admission, other = Admission(path, 10), Admission(path, 10)
    tickets = [admission.enter(now=100 * S) for _ in range(2)]
    assert other.quiet
    tickets.append(admission.enter(now=100 * S))
    assert not other.quiet
    other.leave(tickets[0])
    assert admission.quiet


def test_tickets_differ_also_within_a_nanosecond(path):
    admission = Admission(path, 50)
    assert len({admission.enter(now=7 * S) for _ in range(50)}) == 50


def test_a_refused_request_does_not_count(path):
    admission = Admission(path, 1)
    ticket = admission.enter(now=5 * S)
    for _ in range(10):
        with pytest.raises(Unavailable):
            admission.enter(now=5 * S)
    admission.leave(ticket)
    admission.enter(now=5 * S)


def test_a_request_that_never_ends_is_forgotten_after_some_seconds(path):
    admission, after = Admission(path, 1), int(FORGOTTEN * S)
    lost = admission.enter(now=100 * S)
    with pytest.raises(Unavailable):
        admission.enter(now=100 * S + after)
    admission.enter(now=100 * S + after + 1)
    admission.leave(lost)  # it ends after all: it was forgotten, and frees nothing
    with pytest.raises(Unavailable):
        admission.enter(now=100 * S + after + 1)


def test_lost_requests_among_many_others_leave_nothing_behind(path):
    admission = Admission(path, 4)
    for n in range(2_000):
        ticket = admission.enter(now=n * S // 10)
        if n % 50:
            admission.leave(ticket)
    for _ in range(4):
        admission.enter(now=1_000 * S)
    with pytest.raises(Unavailable):
        admission.enter(now=1_000 * S)


def _begin_and_end(path, times: int) -> None:
    admission = Admission(path, 1_000)
    for _ in range(times):
        for ticket in [admission.enter() for _ in range(20)]:
            admission.leave(ticket)
    admission.enter()


def test_processes_that_count_at_once_lose_nothing(path):
    spawn = multiprocessing.get_context("spawn")
    running = [spawn.Process(target=_begin_and_end, args=(path, 200)) for _ in range(3)]
    for process in running:
        process.start()
    for process in running:
        process.join()
    assert np.count_nonzero(Admission(path, 1_000)._tickets) == len(running)


def test_without_a_server_everything_is_admitted(monkeypatch):
    monkeypatch.delenv(FILE, raising=False)
    assert Admission.of_environment(0) is None


def test_the_environment_names_the_file_and_the_cores_decide_how_many(monkeypatch, path):
    monkeypatch.setenv(FILE, str(path))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2})
    assert Admission.of_environment(0).most == 3 * PER_CORE
    assert Admission.of_environment(7).most == 7
