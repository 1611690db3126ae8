"""The load tools against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident_loadtest.perf_analyzer import BUILD, measure, write_input
from trident_loadtest.processes import tree
from trident_loadtest.request_profile import ProfileRequest, arrivals_of, read_profile

# not imported here: locust patches the standard library of its process
LOCUST_USERS = find_spec("trident_loadtest").submodule_search_locations[0] + "/locust_users.py"


@pytest.fixture(autouse=True)
def briefly(monkeypatch):
    monkeypatch.setattr("trident_loadtest.bench.opening.SETTLE", 0.2)


def bench(*arguments):
    return CliRunner().invoke(build(), ["bench", *map(str, arguments)])


@pytest.fixture(scope="module")
def profile(served, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("load") / "profile.jsonl"
    done = bench("profile", path, "--release", served.release, "--requests", 200)
    assert done.exit_code == 0, done.output
    assert len(read_profile(path)) == 200
    return path


def test_latency_comes_with_what_it_cost_the_server(served, profile, tmp_path):
    out = tmp_path / "report"
    done = bench(
        "latency", "--url", served.server.grpc, "--profile", profile, "--rate", 30, "--seconds", 2, "--runs", 1,
        "--give-up", 30, "--max-lag", 5000, "--out", out,
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    values = json.loads((out / "report.json").read_text())
    assert values["errors"]["count"] == 0
    assert values["runs"][0]["answers"] == 60
    assert values["server"]["stages"]["recommend"]["requests"] == 60
    assert values["server"]["stages"]["ranker"]["compute_ms"] > 0
    cpu = values["server"]["cpu_ms_per_answer"]
    assert {"tritonserver", "redis-server", "candidates", "ranker"} <= set(cpu)
    assert 1 < cpu["total"] < 500
    assert cpu["total"] == pytest.approx(sum(cpu.values()) - cpu["total"])
    assert sum(values["server"]["embedding_cache"].values()) == pytest.approx(1)
    assert values["server"]["embedding_cache"]["hit"] > 0.9  # all known users were warmed
    memory = values["memory_bytes"]
    assert memory["pss"] == sum(memory["by_process"].values()) < memory["rss"]
    assert values["release"]["items"] == 800
    assert "<svg" in (out / "report.html").read_text()


def test_recorded_traffic_is_a_profile(served, grpc, tmp_path):
    path, users = tmp_path / "recorded.jsonl", ["u271", "u272", "u271"]
    for _ in range(20):  # on a machine that is very busy Redis does not take every answer in time
        for user in users:
            grpc.recommend(user, device="tablet", limit=7, record=True)
        done = bench("profile", path, "--recorded", served.server.redis_url, "--requests", 3)
        assert done.exit_code == 0, done.output
        found = read_profile(path)
        if [(one.user_id, one.device, one.limit) for one in found] == [(user, "tablet", 7) for user in users]:
            break
    else:
        pytest.fail(str(found))
    assert arrivals_of(found)[0] == 0
    assert found[2].at > 0


def test_locust_users_of_both_protocols_are_answered(served, profile):
    command = [
        sys.executable, "-m", "locust", "-f", LOCUST_USERS, "--headless", "-u", "8", "-r", "8", "-t", "4s",
        "--stop-timeout", "30", "--requests", profile, "--deadline", "30", "--json",
        "--grpc-url", served.server.grpc, "--http-url", served.server.http,
    ]  # fmt: skip
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    found = {row["method"]: (row["num_requests"], row["num_failures"]) for row in json.loads(done.stdout)}
    assert set(found) == {"gRPC", "HTTP"}, done.stderr
    assert all(count >= 4 and failed == 0 for count, failed in found.values()), found


def test_perf_analyzer_takes_the_same_requests(served, tmp_path):
    program = BUILD / "bin/perf_analyzer"
    if not program.is_file():
        pytest.skip("build/bin/perf_analyzer is not there: `make perf_analyzer` makes it")
    path = tmp_path / "requests.json"
    write_input(
        path, [ProfileRequest("u1", record=False), ProfileRequest("u2", "tv", "DE", 5, False, 7200)], now=time.time()
    )
    found = measure(
        program, served.server.grpc, window_ms=500, stability=100, input_file=path, key=served.server.key
    )  # fmt: skip
    assert found.throughput > 1


def test_a_server_of_its_own_is_started_and_stopped(served, profile, tmp_path):
    before = running()
    done = bench(
        "latency", "--repository", served.repository, "--rate", 20, "--seconds", 1, "--runs", 1,
        "--give-up", 30, "--max-lag", 5000, "--out", tmp_path / "report",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert running() == before


def running() -> set[str]:
    """The servers that this machine runs for this process: their process ids."""
    return {folder.name for folder in Path("/proc").glob("[0-9]*") if served_by_us(folder)}


def served_by_us(folder: Path) -> bool:
    try:
        return b"/tritonserver\0" in (folder / "cmdline").read_bytes() and int(folder.name) in tree(os.getpid())
    except OSError:
        return False
