"""The sending process, and the arithmetic on what it notes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from tritonclient.grpc import service_pb2

from trident.contract import degraded_bit
from trident.errors import InvalidInput, Unavailable
from trident_loadtest.bench.arrivals import Arrivals, fixed, phases, poisson, recorded, spread
from trident_loadtest.bench.generate import Load
from trident_loadtest.bench.messages import message, named, read
from trident_loadtest.bench.samples import Samples, histogram_of, joined, merged, percentiles
from trident_loadtest.bench.session import Limits, Saturated
from trident_loadtest.request_profile import ProfileRequest


def samples(due, sent, done, code=None, flags=None, **more):
    n = len(due)
    code, flags = (np.zeros(n, int) if a is None else np.array(a) for a in (code, flags))
    arrays = (np.array(a, float) for a in (due, sent, done))
    return Samples(*arrays, code, np.full(n, 20), flags, np.ones(n, int), **more)


def test_latency_counts_from_when_a_request_was_due():
    # one a second, 10 ms each, but the second one held the generator up for 2.5 s
    due, sent, done = [0, 1, 2, 3, 4], [0, 1, 3.5, 3.51, 4], [0.01, 3.5, 3.51, 3.52, 4.01]
    found = samples(due, sent, done)
    assert found.latency_ms.tolist() == pytest.approx([10, 2500, 1510, 520, 10])
    assert found.service_ms.tolist() == pytest.approx([10, 2500, 10, 10, 10])
    assert found.lag_ms.tolist() == pytest.approx([0, 0, 1500, 510, 0])
    assert percentiles(found.histogram())["p50"] == pytest.approx(520, rel=1e-3)


def test_percentiles_of_parts_that_are_put_together_are_those_of_the_whole():
    values = np.random.default_rng(1).lognormal(2, 1, 10_000)
    whole, parts = histogram_of(values), merged([histogram_of(part) for part in np.array_split(values, 7)])
    assert percentiles(whole) == percentiles(parts)
    exact = np.sort(values)
    for name, rank in (("p50", 5000), ("p99", 9900), ("p99.9", 9990), ("max", 10_000)):
        assert percentiles(whole)[name] == pytest.approx(exact[rank - 1], rel=1.5e-3)
    assert all(np.isnan(value) for value in percentiles(histogram_of(np.empty(0))).values())


def test_what_several_processes_sent_is_one_run_in_the_order_of_time():
    one = samples([0, 2], [0, 2], [1, 3], cpu_s=0.2, wall_s=2, errors=Counter(a=1), priority="real-time")
    two = samples([1, 3], [1, 3.5], [2, 4], code=[14, 0], cpu_s=0.4, wall_s=3, errors=Counter(a=2, b=1))
    both = joined([one, two])
    assert both.due.tolist() == [0, 1, 2, 3]
    assert both.code.tolist() == [0, 14, 0, 0]
    assert both.cpu_share == pytest.approx(0.1)
    assert (both.processes, both.priority, both.errors) == (2, "normal", Counter(a=3, b=1))


def test_errors_are_counted_by_code_and_reasons_by_answers():
    found = samples([0] * 4, [0] * 4, [1] * 4, code=[0, 14, 4, 0], flags=[degraded_bit("cold_start"), 0, 0, 0])
    assert found.error_kinds() == {"DEADLINE_EXCEEDED": 1, "UNAVAILABLE": 1}
    assert found.degraded() == {"cold_start": 0.5}
    assert found.histogram().get_total_count() == 2


def test_a_generator_that_is_late_or_busy_is_not_believed():
    good = samples([0, 1], [0.001, 1.001], [0.1, 1.1], cpu_s=0.1, wall_s=1)
    Limits().check(good)
    with pytest.raises(Saturated, match=r"late: p99 of its lag behind schedule is 6\.0 ms, expected at most 5"):
        Limits().check(samples([0, 1], [0.006, 1.006], [0.1, 1.1]))
    with pytest.raises(Saturated, match="took 60% of a core, expected at most 50%"):
        Limits().check(samples([0], [0], [0.1], cpu_s=0.6, wall_s=1))


def test_fixed_arrivals_are_even_and_those_of_poisson_independent():
    assert fixed(10, 0.5).tolist() == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    made = poisson(100, 100, seed=3)
    assert len(made) == 10_000
    between = np.diff(made)
    assert between.mean() == pytest.approx(0.01, rel=0.02)
    assert between.std() == pytest.approx(0.01, rel=0.05)  # as of an exponential distribution
    assert made.tolist() == poisson(100, 100, seed=3).tolist() != poisson(100, 100, seed=4).tolist()


def test_phases_follow_each_other():
    made = phases(Arrivals.FIXED, [(2, 1), (10, 0.3), (2, 1)])
    assert made.tolist() == pytest.approx([0, 0.5, 1, 1.1, 1.2, 1.3, 1.8])


def test_recorded_arrivals_are_cut_into_runs():
    runs = recorded([0, 1, 9, 10, 12, 19, 21], seconds=10, runs=2)
    assert [run.tolist() for run in runs] == [[0, 1, 9], [0, 2, 9]]
    with pytest.raises(InvalidInput, match="expected 3 times 10 s of recorded arrivals, got 21 s"):
        recorded([0, 21], seconds=10, runs=3)
    with pytest.raises(InvalidInput, match="fixed or poisson"):
        spread(Arrivals.PROFILE, 1, 1)


def test_a_message_is_the_request_of_the_client_with_an_id():
    body = message(ProfileRequest("u1", device="tv", limit=5, ago=60), now=1000)
    parsed = service_pb2.ModelInferRequest.FromString(named(body, "some-id"))
    assert (parsed.id, parsed.model_name) == ("some-id", "recommend")
    raw = dict(zip([one.name for one in parsed.inputs], parsed.raw_input_contents, strict=True))
    assert raw == {
        "user_id": b"\x02\0\0\0u1", "device": b"\x02\0\0\0tv", "limit": b"\x05\0\0\0",
        "timestamp": (940).to_bytes(8, "little"),
    }  # fmt: skip


@pytest.mark.parametrize("answer", [b"", b"\xff\xff"])
def test_what_is_no_answer_is_refused(answer):
    with pytest.raises(ValueError, match="cannot be read"):
        read(answer)


@pytest.mark.parametrize("processes", [1, 2])
def test_each_request_is_sent_once_when_it_is_due(hollow, profile, processes):
    load, when = Load(hollow.url, profile, 40, give_up=30, processes=processes), fixed(100, 1)
    found = load.send(when, first=30)
    assert len(found) == len(hollow.requests) == 100
    assert found.due - found.due[0] == pytest.approx(when)
    assert (found.answered.all(), found.items.min(), found.release.max()) == (True, 20, 7)
    assert found.degraded() == {"cold_start": 1.0}
    assert (found.lag_ms >= 0).all()
    assert (found.done > found.sent).all()
    assert found.processes == processes
    asked = [service_pb2.ModelInferRequest.FromString(one) for one in hollow.requests]
    assert len({one.id for one in asked}) == 100
    users = Counter(one.raw_input_contents[0][4:].decode() for one in asked)
    assert users == Counter(f"u{(30 + i) % 40}" for i in range(100))


def test_a_server_that_is_not_there_is_an_error(profile):
    with pytest.raises(Unavailable, match="no server took a connection"):
        Load("127.0.0.1:1", profile, 40).send(fixed(10, 0.1))
