"""What users do reaches the next answer, on the real server with a real Redis."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import redis
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException
from typer.testing import CliRunner

from trident.command_group import build as command_line
from trident.contract import EVENT_TYPES
from trident.features.registry import TASTE_EVENTS
from trident.state.feedback import STREAM
from trident.state.load import LOADED, load_users
from trident_client import (
    AsyncHttpRecommender,
    AsyncRecommender,
    Event,
    HttpRecommender,
    InvalidRequest,
    Recommender,
    Unreachable,
)


@pytest.fixture
def store(served) -> Iterator[redis.Redis]:
    """The server's Redis, with nothing but the release in it before and after."""
    client = redis.Redis.from_url(served.server.redis_url)

    def clean() -> None:
        mine = [key for kind in ("history", "emb", "consumed") for key in client.scan_iter(f"user_{kind}:*")]
        client.delete(STREAM, LOADED, *mine)
        load_users(served.repository, served.server.redis_url)

    clean()
    yield client
    clean()


def embedding(store: redis.Redis, served, user: str) -> bytes:
    return store.get(f"user_emb:{served.oracle.release.manifest.embedding_space}:{user}")


@pytest.fixture(params=[Recommender, HttpRecommender, AsyncRecommender, AsyncHttpRecommender], ids=lambda k: k.__name__)
def tell(request, served) -> Iterator[Callable[..., Any]]:
    """`feedback` of each kind of client."""
    kind = request.param
    client: Any = kind(served.server.http if "Http" in kind.__name__ else served.server.grpc, deadline=5)
    if "Async" not in kind.__name__:
        yield client.feedback
        client.close()
        return
    loop = asyncio.new_event_loop()
    yield lambda *args, **more: loop.run_until_complete(client.feedback(*args, **more))
    loop.run_until_complete(client.close())
    loop.close()


def test_a_click_moves_the_very_next_answer_and_a_view_does_not(served, store, grpc, tell):
    before = grpc.recommend("u7", record=False)
    warm = embedding(store, served, "u7")
    tell("u7", before.item_ids[0], "view")
    assert grpc.recommend("u7", record=False) == before
    assert embedding(store, served, "u7") == warm
    tell("u7", before.item_ids[0], "click")
    after = grpc.recommend("u7", record=False)
    assert after.item_ids != before.item_ids
    assert after.degraded == ()
    assert embedding(store, served, "u7") != warm
    given = {"user_id": np.array([[b"u7"]], np.object_), "record": np.array([[False]])}
    assert [i.decode() for i in served.oracle(**given)["item_id"][0]] == list(after.item_ids)


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_what_says_what_a_user_likes_is_taste_and_all_is_kept(store, grpc, kind):
    now = int(time.time())
    entry = grpc.feedback("u8", "i1", kind, timestamp=now, device="tv", region="DE", duration_seconds=2.5)
    [(kept, fields)] = store.xrange(STREAM)
    assert kept.decode() == entry
    assert {name.decode(): value.decode() for name, value in fields.items()} == {
        "user_id": "u8",
        "item_id": "i1",
        "event_type": kind,
        "timestamp": str(now),
        "device": "tv",
        "location": "DE",
        "duration_seconds": "2.5",
    }
    assert (store.zscore("user_history:u8", "i1") == now) == (kind in TASTE_EVENTS)


def test_a_user_nobody_knows_is_known_by_a_click(grpc, store):
    before = grpc.recommend("who is that", record=False)
    grpc.feedback("who is that", before.item_ids[3], "like")
    after = grpc.recommend("who is that", record=False)
    assert before.item_ids[3] not in after.item_ids
    assert [item.score for item in after.items] != [item.score for item in before.items]


def test_feedback_told_again_changes_nothing(served, store, grpc):
    event = Event("u9", "i3", "click")
    grpc.feedback_many([event])
    before, history = grpc.recommend("u9", record=False), store.zrange("user_history:u9", 0, -1, withscores=True)
    warm = embedding(store, served, "u9")
    grpc.feedback_many([event, event])
    grpc.feedback("u9", "i3", "click", timestamp=event.timestamp - 500)
    assert store.zrange("user_history:u9", 0, -1, withscores=True) == history
    assert grpc.recommend("u9", record=False) == before
    assert embedding(store, served, "u9") == warm


def test_loading_the_release_again_keeps_newer_clicks(served, store, grpc):
    grpc.feedback("u10", "i5", "click")
    after = grpc.recommend("u10", record=False)
    store.delete(LOADED)
    load_users(served.repository, served.server.redis_url)
    assert store.zrevrange("user_history:u10", 0, 0) == [b"i5"]
    assert grpc.recommend("u10", record=False) == after


def test_many_events_go_in_one_call(store, recommender):
    kinds = ("view", None), ("click", "tv")
    events = [Event(f"crowd{n}", f"i{n}", kinds[n % 2][0], device=kinds[n % 2][1]) for n in range(150)]
    entries = recommender.feedback_many(events)
    found = store.xrange(STREAM)
    assert [entry.decode() for entry, _ in found] == entries
    assert [fields[b"user_id"].decode() for _, fields in found] == [event.user_id for event in events]
    assert [b"device" in fields for _, fields in found] == [event.device is not None for event in events]
    assert len(list(store.scan_iter("user_history:crowd*"))) == 75


GOOD = {"user_id": ("BYTES", ["u1"]), "item_id": ("BYTES", ["i1"]), "event_type": ("BYTES", ["click"])}
BAD = {
    "unknown type": ("event_type", ("BYTES", ["stare"]), "one of view, click, like, add, share, purchase", "'stare'"),
    "no type": ("event_type", None, "a tensor of BYTES", "none"),
    "empty item": ("item_id", ("BYTES", [""]), "1 to 128 bytes", "0 bytes"),
    "no item": ("item_id", None, "a tensor of BYTES", "none"),
    "empty user": ("user_id", ("BYTES", [""]), "1 to 128 bytes", "0 bytes"),
    "user that is no text": ("user_id", ("BYTES", ["a\x01"]), "without control characters", "a control character"),
    "no user": ("user_id", None, "a tensor of BYTES", "none"),
    "two items": ("item_id", ("BYTES", ["i1", "i2"]), "[1, 1]", "[2, 1]"),
    "of the future": ("timestamp", ("INT64", [4_000_000_000]), "at most 300 seconds after", "4000000000"),
    "negative duration": ("duration_seconds", ("FP32", [-1.0]), "0 to 86400, or NaN", "-1"),
    "unknown device": ("device", ("BYTES", ["fridge"]), "mobile, desktop, tablet, tv", "'fridge'"),
    "region in small letters": ("region", ("BYTES", ["de"]), "two-letter", "'de'"),
}
DTYPES = {"BYTES": np.object_, "INT64": np.int64, "FP32": np.float32}


def over_http(served, tensors: dict) -> tuple[int, str]:
    inputs = [{"name": n, "datatype": t, "shape": [len(v), 1], "data": v} for n, (t, v) in tensors.items()]
    url = f"http://{served.server.http}/v2/models/feedback/infer"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url, json.dumps({"inputs": inputs}).encode())
    return caught.value.code, json.loads(caught.value.read())["error"]


def over_grpc(served, tensors: dict) -> tuple[str, str]:
    inputs = []
    for name, (dtype, values) in tensors.items():
        inputs.append(InferInput(name, [len(values), 1], dtype))
        given = [v.encode() if dtype == "BYTES" else v for v in values]
        inputs[-1].set_data_from_numpy(np.array(given, DTYPES[dtype])[:, None])
    with InferenceServerClient(served.server.grpc) as client, pytest.raises(InferenceServerException) as caught:
        client.infer("feedback", inputs)
    return caught.value.status(), caught.value.message()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_refused_with_tensor_expected_and_got_and_not_kept(served, store, case):
    name, tensor, *words = BAD[case]
    tensors = {n: t for n, t in {**GOOD, name: tensor}.items() if t is not None}
    code, text = over_http(served, tensors)
    status, message = over_grpc(served, tensors)
    assert (code, status) == (400, "StatusCode.INVALID_ARGUMENT")
    for told in (text, message):
        for word in (f"feedback: input '{name}'", *words):
            assert word in told
        assert "Traceback" not in told
    assert not store.exists(STREAM)


def test_the_clients_refuse_what_the_server_would(recommender):
    with pytest.raises(InvalidRequest, match=r"feedback: input 'event_type': expected one of view, .* got 'stare'"):
        recommender.feedback("u", "i", "stare")
    with pytest.raises(InvalidRequest, match=r"feedback: input 'item_id': expected str \(dtype BYTES\), got int 3"):
        recommender.feedback("u", 3, "click")
    with pytest.raises(InvalidRequest, match="events: expected a list of Event, got 'click'"):
        recommender.feedback_many("click")
    assert recommender.feedback_many([]) == []


def test_an_event_that_cannot_be_kept_is_not_confirmed(served, store, recommender):
    child = next(child for child in served.server.children if child.name != "tritonserver")
    os.kill(child.process.pid, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable, match="feedback: the event may not be kept, send it again: Redis"):
            recommender.feedback("u", "i", "click")
    finally:
        os.kill(child.process.pid, signal.SIGCONT)
    for _ in range(50):
        time.sleep(0.1)
        try:
            recommender.feedback("u", "i", "click")
            return
        except Unreachable:
            continue
    pytest.fail("feedback did not come back with Redis")


def test_the_command_tells_an_event(served, store):
    def run(*args: str):
        return CliRunner().invoke(command_line(), ["feedback", "u1", "i1", *args])

    told = run("click", "--url", served.server.grpc, "--duration", "3", "--json")
    assert told.exit_code == 0
    assert store.xrange(STREAM)[0][0].decode() == json.loads(told.stdout)["entry_id"]
    assert run("view", "--http", "--url", served.server.http).stdout.startswith("kept as entry ")
    wrong = run("stare", "--url", served.server.grpc)
    assert wrong.exit_code == 1
    assert "expected one of view, click" in wrong.stderr
