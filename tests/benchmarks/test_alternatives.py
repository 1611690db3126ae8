"""The comparison with what one would build instead: its parts, and one short comparison from end to end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from redis import Redis

pytest.importorskip("uvloop", reason="the extra `alternatives` is not installed")
pytest.importorskip("fastapi", reason="the extra `alternatives` is not installed")

from benchmarks.alternatives import item_rows, load
from benchmarks.alternatives.capacity import LIMIT_MS, PRECISION, capacity
from benchmarks.alternatives.comparison import Plan, compare
from benchmarks.alternatives.equality import require_equal
from benchmarks.alternatives.load import Run
from benchmarks.alternatives.report import as_dict, table
from benchmarks.alternatives.servers import PLAIN, Protocol, Running, triton_with_lightgbm
from trident.errors import InvalidInput, Unavailable
from trident.release import Release
from trident.serving.redis import EmbeddedRedis


class Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seconds = 0.02

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(self.seconds)
        self.send_response(200 if body == b"good" else 503)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that takes 20 ms and refuses all bodies but one."""
    monkeypatch.setattr(load, "CONNECTIONS", 4)
    with ThreadingHTTPServer(("127.0.0.1", 0), Slow) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_lightgbm_stays_the_ranker_while_its_server_runs(tiny_release: Path) -> None:
    with triton_with_lightgbm(tiny_release):
        (config,) = tiny_release.parent.glob(".alternatives-*/repository/ranker/config.pbtxt")
        assert 'backend: "python"' in config.read_text()


def asked(body: bytes) -> bytes:
    return Protocol("/", lambda _: body, lambda _: ([], [])).request("nowhere", {})


def test_a_run_sends_at_its_rate_and_times_every_answer(slow: str):
    began = time.monotonic()
    run = load.run([slow], [asked(b"good")], rate=50, seconds=1)
    assert 0.9 < time.monotonic() - began < 10
    assert (run.sent, run.failed, run.kept_up) == (50, 0, True)
    assert 20 <= run.p50_ms < 2_000
    assert run.within(10_000)
    assert not run.within(1)


def test_refusals_are_failures_and_no_run_with_failures_is_within_the_limit(slow: str):
    run = load.run([slow], [asked(b"good"), asked(b"bad")], rate=40, seconds=0.5)
    assert (run.sent, run.failed) == (20, 10)
    assert not run.within(10_000)


def test_a_server_that_does_not_keep_up_is_given_up(slow: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Slow, "seconds", 0.5)
    monkeypatch.setattr(load, "BACKLOG", 0.1)
    run = load.run([slow], [asked(b"good")], rate=200, seconds=2)
    assert not run.kept_up
    assert run.sent < 100


def test_requests_go_to_the_address_with_the_fewest_under_way():
    pool, sent = load.Pool(), []

    class Silent(load.Connection):
        def ask(self, request: bytes, due: float) -> None:
            sent.append(pool._of[self])

    for address in ("a", "b"):
        pool._free[address], pool._busy[address] = [Silent(pool) for _ in range(4)], 0
        pool._of |= dict.fromkeys(pool._free[address], address)
    for _ in range(6):
        pool.ask(b"", 0.0)
    assert sorted(sent) == ["a"] * 3 + ["b"] * 3


def served_up_to(highest: float, generator: float = 0.1):
    return lambda rate: Run(rate, 100, 0, 5.0, 50.0 if rate <= highest else 2 * LIMIT_MS, 0.1, generator, True)


@pytest.mark.parametrize("highest", [7.0, 103.0, 480.0])
@pytest.mark.parametrize("start", [20.0, 300.0])
def test_capacity_is_the_highest_rate_within_the_limit(highest: float, start: float):
    assert highest / PRECISION <= capacity(served_up_to(highest), start).rate <= highest


def test_a_busy_generator_measures_nothing():
    with pytest.raises(Unavailable, match="the load generator itself took 95% of a core"):
        capacity(served_up_to(100, generator=0.95), 50)


def test_a_server_that_answers_nothing_in_time_has_no_capacity():
    with pytest.raises(Unavailable, match="no rate down to"):
        capacity(served_up_to(0), 50)


def test_item_features_come_back_from_redis_as_they_are_in_the_release(tiny_release: Path):
    release = Release.open(tiny_release)
    features = release.items.features
    with EmbeddedRedis() as server, contextlib.closing(Redis(unix_socket_path=str(server.socket))) as client:
        item_rows.load(str(server.socket), features)
        rows = np.array([0, len(features) - 1, 17, 17])
        read = item_rows.RedisItemRows(client, release).read(rows)
        assert np.array_equal(read, features[rows], equal_nan=True)
        assert client.dbsize() == len(features)
        with pytest.raises(Unavailable, match="is it empty"):
            item_rows.load(str(server.socket), features)


def test_an_unknown_alternative_is_refused(tiny_release: Path):
    with pytest.raises(InvalidInput, match="expected some of triton, fastapi, feast, got other"):
        Plan(tiny_release, 1, 1, (1,), ("other",), 50)


def told(ids: list[str], scores: list[float]) -> Running:
    protocol = replace(PLAIN)
    object.__setattr__(protocol, "ask", lambda address, asked: (ids, scores))
    return Running("told", protocol, ("nowhere",), ())


def test_other_items_or_scores_are_not_timed():
    ours = told(["a", "b"], [0.5, 0.4])
    assert require_equal(ours, told(["a", "b"], [0.5, 0.4000005]), ["u"]) == 2
    with pytest.raises(Unavailable, match="other items for u: place 2 is c, expected b; nothing is timed"):
        require_equal(ours, told(["a", "c"], [0.5, 0.4]), ["u"])
    with pytest.raises(Unavailable, match="1 items, expected 2"):
        require_equal(ours, told(["a"], [0.5]), ["u"])
    with pytest.raises(Unavailable, match=r"scores for u differ by 0\.1"):
        require_equal(ours, told(["a", "b"], [0.5, 0.3]), ["u"])


def test_all_answer_the_same_and_are_compared_in_one_table(tiny_release: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("benchmarks.alternatives.capacity.LIMIT_MS", 5_000)  # so that a busy machine has a capacity
    monkeypatch.setattr("benchmarks.alternatives.capacity.PRECISION", 4.0)
    plan = Plan(tiny_release, rounds=1, seconds=0.3, workers=(1,), alternatives=("triton", "feast"), start=20)
    said: list[str] = []
    found = compare(plan, said.append)
    assert sum("items are the same as Trident's" in line for line in said) == 2
    names = ["Trident", "Triton, LightGBM in a Python model", "FastAPI × 1, item features from Redis"]
    assert [one.name for one in found] == names
    for one in found:
        assert one.memory > 10 << 20
        assert all(measured.run.within(5_000) and measured.run.cpu_ms > 0 for measured in one.rounds)
    lines = table(plan, found).splitlines()
    assert sum(line.startswith("| ") for line in lines) == 4
    assert "times the capacity" in lines[-1]
    assert as_dict(plan, found)["servers"][0]["name"] == "Trident"
