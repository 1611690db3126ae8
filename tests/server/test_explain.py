"""`trident explain` beside the real server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np
import pytest
from typer.testing import CliRunner

from trident.command_group import build
from trident.explain.contributions import open_booster
from trident.explain.journey import journey, travel
from trident.explain.served import request, served_pipeline
from trident.explain.why_not import why_not
from trident.pipeline import Pipeline
from trident.settings import Settings
from trident.state.connection import connect


@pytest.fixture(scope="module")
def beside(served, grpc) -> Iterator[Pipeline]:
    with served_pipeline(served.repository, Settings(redis_url=served.server.redis_url)) as pipeline:
        yield pipeline


def run(served, *arguments: str):
    place = ("--url", served.server.grpc, "--repository", str(served.repository), "--redis", served.server.redis_url)
    return CliRunner().invoke(build(), ["explain", *arguments, *place])


def test_what_is_explained_to_200_users_is_what_they_are_served(served, grpc, beside):
    now, booster = int(time.time()), open_booster(served.repository, beside.release.manifest.release)
    for n in range(200):
        answer = grpc.recommend(f"u{n}", timestamp=now, record=False)
        trip = travel(beside, request(f"u{n}", timestamp=now))
        assert [i.decode() for i in trip.tensors["item_id"][0]] == [item.item_id for item in answer.items]
        np.testing.assert_array_equal(trip.tensors["score"][0], np.float32([item.score for item in answer.items]))
        if n % 20 == 0:
            told = journey(trip, booster)
            assert [(i.item_id, i.score) for i in told.items] == [(i.item_id, i.score) for i in answer.items]
            assert all(len(item.contributions) == 5 for item in told.items)


def test_it_says_what_was_cached_before_and_leaves_the_cache_as_it_was(served, grpc):
    space = served.oracle.release.manifest.embedding_space
    with connect(served.server.redis_url, 1.0) as redis:
        redis.delete(f"user_emb:{space}:u88")
        told = json.loads(run(served, "u88", "--item", "nope", "--json").output)
        assert told["step"] == "catalogue"
        assert not redis.exists(f"user_emb:{space}:u88")  # the server was not asked
        told = json.loads(run(served, "u88", "--json").output)
        assert told["state"]["embedding"] == "none"
        assert told["agreement"].startswith("The server answers the same 20 items")
        assert json.loads(run(served, "u88", "--json").output)["state"]["embedding"] == "cached"  # by the server


def test_an_item_shown_before_is_lost_as_shown(grpc, beside):
    shown = grpc.recommend("u77").items[0].item_id
    found = why_not(travel(beside, request("u77", timestamp=int(time.time()))), shown)
    assert found.step == "not_seen_lately"
    assert "shown lately" in found.reason


def test_the_command_tells_the_journey_and_that_the_server_agrees(served):
    result = run(served, "u5", "--limit", "3")
    assert result.exit_code == 0, result.output
    assert "The server answers the same 3 items with the same scores." in " ".join(result.output.split())
    assert "not_seen_lately" in result.output


def test_the_command_speaks_json(served):
    told = json.loads(run(served, "u5", "--json").output)
    assert len(told["items"]) == 20
    assert told["agreement"].startswith("The server answers the same 20 items")


def test_the_command_draws_a_page(served, tmp_path):
    result = run(served, "u5", "--html", str(tmp_path / "page.html"))
    assert result.exit_code == 0, result.output
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")


def test_the_command_says_why_not(served, grpc):
    told = json.loads(run(served, "u5", "--item", "nope", "--json").output)
    assert told["step"] == "catalogue"
    first = grpc.recommend("u5", record=False).items[0].item_id
    assert "at position 1" in run(served, "u5", "--item", first).output


def test_a_server_that_is_not_there_is_named(served):
    result = CliRunner().invoke(build(), ["explain", "u5", "--url", "127.0.0.1:1"])
    assert result.exit_code != 0
    assert "no server of this machine answers at 127.0.0.1:1" in " ".join(result.stderr.split())
