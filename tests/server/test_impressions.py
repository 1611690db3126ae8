"""What the real server says that it showed, and that the logged feature rows are those the forest read."""

from __future__ import annotations

import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.contract import DEVICES
from trident.pipeline import Pipeline
from trident.settings import Settings
from trident.state.impressions import (
    FEATURE_ROWS,
    FIELDS,
    IMPRESSIONS,
    Impression,
    ShownRows,
    pack_rows,
    unpack_impression,
    unpack_rows,
)
from trident_client import Recommender
from trident_export.features_logged import check_logged
from trident_export.impressions_pull import pull_shown


@pytest.fixture
def store(served) -> Iterator[redis.Redis]:
    """The server's Redis, without anything that was shown before and after."""
    client = redis.Redis.from_url(served.server.redis_url)

    def clean() -> None:
        keys = [key for kind in ("recent_items", "answered") for key in client.scan_iter(f"{kind}:*")]
        client.delete(IMPRESSIONS, FEATURE_ROWS, *keys)

    clean()
    yield client
    clean()


@pytest.fixture(scope="module")
def logging(served) -> Iterator[Pipeline]:
    """The stages of the serving release over the server's Redis; they log the rows of every answer."""
    settings = Settings(redis_url=served.server.redis_url, redis_timeout=1.0, feature_rows_share=1.0)
    pipeline = Pipeline.of_repository(served.repository, 1, settings)
    yield pipeline
    pipeline.close()


def shown(store: redis.Redis) -> list[Impression]:
    found = [unpack_impression(fields[b"shown"]) for _, fields in store.xrange(IMPRESSIONS)]
    assert None not in found
    return found


def logged_rows(store: redis.Redis) -> list[ShownRows]:
    found = [unpack_rows(fields[b"rows"]) for _, fields in store.xrange(FEATURE_ROWS)]
    assert None not in found
    return found


def ask(pipeline: Pipeline, *users: bytes, **more: object) -> dict[str, np.ndarray]:
    given = {"user_id": users, **{name: [value] * len(users) for name, value in more.items()}}
    kinds = {"timestamp": np.int64, "record": np.bool_, "limit": np.int32}
    return pipeline.trace(**{n: np.array(v, kinds.get(n, np.object_))[:, None] for n, v in given.items()})


def test_an_answer_is_logged_as_it_was_given(served, store, recommender):
    before = int(time.time())
    answer = recommender.recommend("u11", limit=7, device="tv", region="DE")
    [found] = shown(store)
    assert (found.user, found.release, found.device, found.region, found.flags) == ("u11", 1, "tv", "DE", 0)
    assert before <= found.time <= int(time.time())
    assert [item.decode() for item in found.items] == list(answer.item_ids)
    assert found.scores.tolist() == [item.score for item in answer.items]


def test_an_answer_that_is_not_to_be_remembered_is_not_logged(store, recommender):
    recommender.recommend("u11", record=False)
    assert not store.exists(IMPRESSIONS, FEATURE_ROWS)


def test_who_says_no_region_is_shown_at_home(served, store, grpc):
    grpc.recommend("u12")
    grpc.recommend("nobody knows me")
    known, stranger = shown(store)
    assert known.region in served.oracle.release.vocabulary.regions
    assert (known.device, stranger.region) == ("", "")
    assert stranger.flags


def test_a_repeated_request_is_one_impression_in_the_files(served, store, tmp_path):
    user = {"name": "user_id", "shape": [1, 1], "datatype": "BYTES", "data": ["u13"]}
    for name in ("first", "second"):
        for _ in range(3):
            url = f"http://{served.server.http}/v2/models/recommend/infer"
            urllib.request.urlopen(url, json.dumps({"id": name, "inputs": [user]}).encode()).read()
    told = pull_shown(served.server.redis_url, tmp_path)[IMPRESSIONS]
    assert (told[0].rows, told[1].repeated) == (40, 4)


def test_a_stream_that_redis_refuses_makes_no_answer_worse(store, grpc):
    store.set(IMPRESSIONS, "not a stream")
    answer = grpc.recommend("u14")
    assert (len(answer.items), answer.degraded) == (20, ())
    assert store.zcard("recent_items:u14") == 20


def test_logged_rows_are_those_that_the_forest_read(logging, store):
    trace = ask(logging, *(b"u%d" % n for n in range(20, 26)), device=b"mobile")
    matrix = trace["feature_matrix"].reshape(6, 500, 120)
    answers, rows = shown(store), logged_rows(store)
    assert len(rows) == len(answers) == 6
    for i, (answer, kept) in enumerate(zip(answers, rows, strict=True)):
        assert vars(kept.impression)["items"] == answer.items == tuple(trace["item_id"][i])
        places = [trace["candidate_rows"][i].tolist().index(row) for row in logging.release.items.rows(answer.items)]
        assert kept.rows.tobytes() == matrix[i, places].tobytes()
        assert kept.candidates.tolist() == trace["candidate_rows"][i].tolist()
        assert kept.similarity.tobytes() == trace["similarity"][i].tobytes()


def test_about_the_share_that_was_set_is_logged_and_the_same_at_every_repetition(served, store):
    settings = Settings(
        redis_url=served.server.redis_url, redis_timeout=1.0, impressions_share=0.25, feature_rows_share=0.0
    )
    pipeline = Pipeline.of_repository(served.repository, 1, settings)
    moment = int(time.time())
    for _ in range(2):
        for start in range(0, 300, 60):
            ask(pipeline, *(b"someone%d" % n for n in range(start, start + 60)), timestamp=moment, limit=1)
    pipeline.close()
    users = [answer.user for answer in shown(store)]
    assert 45 <= len(users) / 2 <= 110
    assert sorted(users) == sorted([*set(users)] * 2)
    assert not store.exists(FEATURE_ROWS)


def test_logged_rows_equal_those_that_training_makes(served, logging, store, tmp_path):
    rng, as_of = np.random.default_rng(3), logging.release.manifest.as_of
    for n in range(60):
        users = [b"u%d" % user for user in rng.integers(0, 300, 3)] + [b"stranger%d" % n]
        asked = {
            "device": str(rng.choice(["", *DEVICES])).encode(),
            "region": str(rng.choice(["", "DE", "XA"])).encode(),
        }
        ask(logging, *users, timestamp=as_of + int(rng.integers(-86_400, 100 * 86_400)), **asked)
    pull_shown(served.server.redis_url, tmp_path)
    report = check_logged(served.repository, tmp_path)
    assert report.as_dict()["wrong"] == []
    assert (report.answers, report.differences.compared, report.left_out) == (240, 4800, {})


def test_a_row_that_production_got_wrong_is_found_by_name(served, logging, store, tmp_path):
    ask(logging, b"u1")
    [kept] = logged_rows(store)
    changed = kept.rows.copy()
    changed[3, 12] += 0.125
    changed[4, 50] = np.nan
    other = replace(kept, impression=replace(kept.impression, release=77))
    for value in (replace(kept, rows=changed), other):
        fields = {FIELDS[FEATURE_ROWS]: pack_rows(replace(value, impression=replace(value.impression, request="")))}
        store.xadd(FEATURE_ROWS, fields)
    pull_shown(served.server.redis_url, tmp_path)
    report = check_logged(served.repository, tmp_path)
    assert report.wrong == ["user_ctr", "item_viewers"]
    assert report.left_out == {"the release is no longer in the repository": 1}
    told = command(served.repository, tmp_path)
    assert told.exit_code == 1
    assert "releases 1, 2 answers, 40 logged rows: 2 of 120 features differ" in told.stdout
    assert "1 answers left out: the release is no longer in the repository" in told.stdout


def command(repository: Path, folder: Path):
    arguments = ["features", "check", "--repository", str(repository), "--logged", str(folder)]
    return CliRunner().invoke(command_line(), arguments)


def test_what_was_logged_and_lost_is_on_the_metrics_page(served, grpc: Recommender, store):
    grpc.recommend("u15")
    end = time.monotonic() + 5
    while time.monotonic() < end:
        page = urllib.request.urlopen(f"http://{served.server.metrics}/metrics").read().decode()
        if 'trident_logged_total{outcome="kept",release="1",stream="impressions"}' in page:
            return
        time.sleep(0.2)
    pytest.fail("trident_logged_total is not on the page")
