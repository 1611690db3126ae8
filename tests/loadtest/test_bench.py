"""`trident bench` against a server that answers at once: reports, and what refuses them. Judgements, by hand."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident_loadtest.bench import capacity, overload, soak
from trident_loadtest.bench.capacity import Search, search
from trident_loadtest.bench.memory import Memory
from trident_loadtest.bench.opening import Settings
from trident_loadtest.bench.overload import Plan, back_to_normal, judged
from trident_loadtest.bench.samples import Samples
from trident_loadtest.bench.slope import slope, student95
from trident_loadtest.bench.soak import growth

MIB = 1 << 20


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    monkeypatch.setattr("trident_loadtest.bench.opening.SETTLE", 0.2)


def bench(*arguments):
    return CliRunner().invoke(build(), ["bench", *map(str, arguments)])


def test_a_report_is_a_page_values_and_a_row(hollow, profile, tmp_path):
    out = tmp_path / "report"
    done = bench(
        "latency", "--url", hollow.url, "--profile", profile, "--rate", 50, "--seconds", 1, "--runs", 2,
        "--give-up", 30, "--max-lag", 5000, "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    values = json.loads((out / "report.json").read_text())
    assert [run["answers"] for run in values["runs"]] == [50, 50]
    assert values["errors"] == {"count": 0, "by_code": {}, "texts": {}}
    assert values["degraded"] == {"cold_start": 1.0}
    assert values["releases"] == [7]
    assert set(values["latency_ms"]["median_of_runs"]) == {"p50", "p90", "p95", "p99", "p99.9", "max"}
    assert values["profile"]["requests"] == 40
    head, line, row = (out / "row.md").read_text().splitlines()
    assert head.count("|") == line.count("|") == row.count("|")
    assert (out / "row.md").read_text() in done.stdout
    shown = (out / "report.html").read_text()
    assert shown.count("<svg") == 2
    assert "on another machine" in shown
    assert not re.search(r'(src|href)="http', shown)


def test_a_generator_that_cannot_keep_up_gives_no_report(hollow, profile, tmp_path):
    out = tmp_path / "report"
    done = bench(
        "latency", "--url", hollow.url, "--profile", profile, "--rate", 8_000, "--seconds", 1, "--runs", 1,
        "--out", out, "--give-up", 5,
    )  # fmt: skip
    assert done.exit_code == 1
    assert "no report: the load generator" in done.stderr
    assert not out.exists()


def test_a_server_elsewhere_needs_a_profile(hollow):
    done = bench("latency", "--url", hollow.url)
    assert done.exit_code == 1
    assert "--profile" in done.stderr


def test_without_a_server_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr("trident_loadtest.bench.target.at_address", lambda address: None)
    monkeypatch.setattr("trident_loadtest.bench.target.serving_repository", lambda repository: None)
    done = bench("latency")
    assert done.exit_code == 1
    assert "trident serve" in done.stderr


def settings(hollow, profile):
    return Settings(url=hollow.url, profile=profile, max_lag=5000, give_up=30)


def kept(report, folder):
    report.write(folder)
    assert (folder / "report.html").read_text().count("<svg") >= 2
    return json.loads((folder / "report.json").read_text())


def test_capacity_is_proved_by_runs(hollow, profile, tmp_path):
    plan = Search(limit_ms=20_000, start=30, most=40, step_seconds=1, seconds=1, runs=2)
    values = kept(capacity.measure(settings(hollow, profile), plan, str), tmp_path)
    assert values["rate"] == 30
    assert [(step["rate"], step["held"]) for step in values["steps"]] == [(30, True), (30, True)]
    assert len(values["runs"]) == 2


def test_an_overload_is_between_two_calm_times(hollow, profile, tmp_path):
    plan = Plan(capacity=40, factor=3, seconds=1, before=0.5, after=0.5, deadline_ms=20_000)
    values = kept(overload.measure(settings(hollow, profile), plan, str), tmp_path)
    assert values["runs"][0]["requests"] == 10 + 120 + 10
    assert values["overload"]["offered_per_s"] == pytest.approx(120)
    assert values["overload"]["share_good"] == 1
    assert values["overload"]["goodput_of_capacity"] == pytest.approx(3)
    assert values["overload"]["rejections_ms"]["p99"] is None


def test_a_soak_of_a_server_elsewhere_has_no_memory(hollow, profile, tmp_path):
    values = kept(soak.measure(settings(hollow, profile), soak.Plan(0.02, rate=None, capacity=60), str), tmp_path)
    assert values["rate"] == 30
    assert values["runs"][0]["answers"] == 36
    assert values["memory_growth"] == {}


@pytest.mark.parametrize("most", [3, 49, 50, 123, 4000])
def test_the_search_comes_close_to_the_capacity_from_below(most):
    plan, tried = Search(), []

    def holds(rate):
        tried.append(rate)
        return rate <= most

    found = search(plan, holds)
    assert found <= most
    if most >= 10:
        assert found >= most * (1 - 2 * plan.close)
    assert len(tried) < 45


def test_one_disturbance_does_not_end_the_search():
    disturbed = iter([False])
    assert search(Search(), lambda rate: next(disturbed, True) and rate <= 100) > 90


def test_during_an_overload_requests_are_good_rejected_late_or_given_up():
    plan = Plan(seconds=2, before=1, after=1, deadline_ms=100)
    due = np.arange(8) / 2  # 2 before, 4 in the overload, 2 after
    took = np.array([0.01, 0.01, 0.02, 0.02, 0.3, 1.0, 0.01, 0.01])
    code = np.array([0, 0, 0, 14, 0, 4, 0, 0])
    zeros = np.zeros(8, int)
    found = judged(Samples(due, due, due + took, code, zeros, zeros, zeros), due, plan, capacity=1)
    assert found["goodput_per_s"] == 0.5
    assert found["goodput_of_capacity"] == 0.5
    assert [found[f"share_{kind}"] for kind in ("good", "rejected", "late", "given_up")] == [0.25] * 4
    assert found["rejections_ms"]["max"] == pytest.approx(20, rel=1e-3)
    assert found["back_to_normal_s"] == 0


@pytest.mark.parametrize(
    ("bad", "expected"), [([], 0.0), ([10.2], 0.5), ([10.2, 11.7], 2.0), ([9.0], 0.0), ([14.9], None)]
)
def test_normal_again_is_after_the_last_half_second_with_failures(bad, expected):
    due = np.round(np.arange(8, 15, 0.1), 1)
    assert back_to_normal(due, ~np.isin(due, bad), end=10.0) == expected


def test_a_slope_of_noise_is_not_distinguishable_from_0_in_95_of_100_cases():
    rng, times = np.random.default_rng(5), np.arange(100.0)
    for memory in (0.0, 0.8):  # independent values, and values that resemble their neighbours
        noise = rng.normal(size=(1000, 150))
        for i in range(1, 150):
            noise[:, i] += memory * noise[:, i - 1]
        wrong = np.mean([slope(times, one[50:]).distinguishable for one in noise])
        assert 0.02 < wrong < 0.10


def test_a_slope_that_is_there_is_found():
    times = np.arange(100.0)
    found = slope(times, 0.1 * times + np.random.default_rng(1).normal(size=100))
    assert found.distinguishable
    assert found.low < 0.1 < found.high
    assert not slope(times, np.full(100, 7.0)).distinguishable
    assert slope(times, 3 * times + 1).value == pytest.approx(3)


@pytest.mark.parametrize(("freedom", "point"), [(4, 2.776), (10, 2.228), (30, 2.042), (1000, 1.962)])
def test_the_points_of_students_t_are_those_of_the_tables(freedom, point):
    assert student95(freedom) == pytest.approx(point, rel=0.01)


def test_growth_is_of_own_and_shared_memory_after_settling_and_redis_stands_apart():
    def row(minute):
        ranker = Memory(anon=100 * MIB if minute > 10 else 0, shmem=8 * MIB, file=minute * MIB)
        return 60.0 * minute, {"ranker": ranker, "redis-server": Memory(anon=minute * MIB)}

    found = growth([row(minute) for minute in range(61)])
    assert found["Triton and its processes"]["mib_per_hour"] == 0
    assert not found["Triton and its processes"]["differs_from_0"]
    assert found["redis-server"]["mib_per_hour"] == pytest.approx(60)
    assert found["redis-server"]["differs_from_0"]
