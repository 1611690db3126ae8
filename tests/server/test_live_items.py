"""Item changes and what the real server answers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.serving.model_control import ModelControl
from trident.state.connection import connect
from trident_client.results import Recommendation

USER = "a user nobody knows"


@pytest.fixture
def items(served) -> Iterator[Callable[..., str]]:
    """Runs `trident items`; what it changed is cleared in the end."""
    touched: list[str] = []

    def run(command: str, item: str, *options: str) -> str:
        touched.append(item)
        arguments = ["items", command, item, *options, "--repository", str(served.repository)]
        result = CliRunner().invoke(build(), arguments, env={"REDIS_URL": None})
        assert result.exit_code == 0, result.output
        return result.output

    yield run
    for item in set(touched):
        run("clear", item)


def answer_when(ask: Callable[[], Recommendation], good: Callable[[Recommendation], bool]) -> Recommendation:
    """The first answer that is as it should be, within a second."""
    began = time.perf_counter()
    while not good(answer := ask()):
        assert time.perf_counter() - began < 1, answer
    return answer


@pytest.mark.parametrize(("option", "step"), [("--in-stock=false", "in_stock"), ("--flagged=true", "safe")])
def test_an_item_leaves_the_answers_and_the_counts_and_comes_back(recommender, items, option, step):
    def ask() -> Recommendation:
        return recommender.recommend(USER, region="US", record=False)

    before = ask()
    item = before.item_ids[0]
    items("set", item, option)
    gone = answer_when(ask, lambda answer: item not in answer.item_ids and answer.funnel[step] < before.funnel[step])
    assert gone.funnel[step] == before.funnel[step] - 1
    assert gone.funnel["catalogue"] == before.funnel["catalogue"]
    assert len(set(gone.item_ids)) == 20
    items("clear", item)
    back = answer_when(ask, lambda answer: answer.item_ids == before.item_ids and answer.funnel == before.funnel)
    assert back.degraded == before.degraded


def test_a_block_in_one_region_leaves_the_other(grpc, items):
    answers = {region: grpc.recommend(USER, region=region, record=False).item_ids for region in ("US", "DE")}
    item = next(item for item in answers["US"] if item in answers["DE"])
    items("set", item, "--block", "US")
    answer_when(lambda: grpc.recommend(USER, region="US", record=False), lambda answer: item not in answer.item_ids)
    assert item in grpc.recommend(USER, region="DE", record=False).item_ids


def test_processes_that_start_know_what_was_set_even_when_the_stream_is_gone(served, grpc, items):
    before = grpc.recommend(USER, record=False)
    item = before.item_ids[0]
    items("set", item, "--in-stock", "false")
    answer_when(lambda: grpc.recommend(USER, record=False), lambda answer: item not in answer.item_ids)
    connect(served.server.redis_url, 1.0).delete("item_updates")
    control = ModelControl(served.server.http, key=served.server.key)
    for model in ("candidates", "business_rules"):
        os.utime(served.repository / model / "1" / "model.py")  # a changed file makes the server load it again
        control.load(model)
    after = grpc.recommend(USER, record=False)
    assert item not in after.item_ids
    assert after.funnel["in_stock"] == before.funnel["in_stock"] - 1


def test_a_stopped_redis_makes_answers_say_so_until_it_goes_on(served, grpc):
    (redis,) = [child for child in served.server.children if child.name == "redis-server"]
    os.kill(redis.pid, signal.SIGSTOP)
    try:
        time.sleep(2)
        answer = grpc.recommend(USER, record=False)
    finally:
        os.kill(redis.pid, signal.SIGCONT)
    assert "live_updates_stale" in answer.degraded
    assert len(set(answer.item_ids)) == 20
    began = time.perf_counter()
    while set(grpc.recommend(USER, record=False).degraded) - {"cold_start"}:
        assert time.perf_counter() - began < 5
