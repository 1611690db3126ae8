"""The client against a real HTTP server of the standard library that speaks as Feast does, or as it should not."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from trident.errors import SetupError, Unavailable
from trident.pipeline import Pipeline
from trident.release import Release
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.state.connection import connect
from trident.state.feast import COLUMNS, FEATURES, FeastClient, feast_address, require_feast, require_user
from trident.state.layout import EMBEDDING_TTL, ROW_TTL
from trident.users import UserRows

SCHEMA = "aabbccddeeff0011"
FLOATS = np.array([*np.linspace(-3, 900, 33), 1 / 3, -0.0, 1e-45, 3.4028235e38, 0.1, 16777217, np.nan], np.float32)
ROW = dict(zip(FEATURES, [None if math.isnan(x) else float(x) for x in FLOATS], strict=True)) | {
    "home_region": "FR", "age": 30, "as_of": 1_780_000_000, "history": ["i2", "ü1"], "history_at": [1_779_999_999, 7],
    "consumed": ["i9"], "consumed_at": [8],
}  # fmt: skip


class FeatureServer:
    """Answers /get-online-features from `rows`, user id → columns, in Feast's form; what it is asked is kept."""

    def __init__(self, schema: str, rows: dict[str, dict]) -> None:
        self.schema, self.rows = schema, rows
        self.asked: list[list[str]] = []
        self.peers: list[int] = []
        self.columns, self.status, self.body = list(reversed(COLUMNS)), 200, None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.peers.append(self.client_address[1])
                outer.asked.append(question["entities"]["user_id"])
                body = outer.body if outer.body is not None else json.dumps(outer.answer(question)).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, question: dict) -> dict:
        assert question["full_feature_names"]
        assert question["feature_service"] == f"user_rows_{self.schema}"
        users = question["entities"]["user_id"]
        known = [self.rows.get(user, {}) for user in users]
        results = [{"values": users}] + [{"values": [row.get(c) for row in known]} for c in self.columns]
        names = ["user_id", *(f"user_rows_{self.schema}__{c}" for c in self.columns)]
        return {"results": results, "metadata": {"feature_names": names}}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server() -> Iterator[FeatureServer]:
    nothing = {"history": [], "history_at": [], "consumed": None, "consumed_at": None}
    server = FeatureServer(SCHEMA, {"u1": ROW, "ü 2": ROW | {"age": -1, "home_region": ""} | nothing})
    yield server
    server.close()


@pytest.fixture
def client(server: FeatureServer) -> Iterator[FeastClient]:
    client = FeastClient("127.0.0.1", server.port, 2.0, SCHEMA)
    yield client
    client.close()


def test_a_row_comes_back_bit_for_bit(client):
    (user,) = client.read(["u1"])
    assert user.row.features.dtype == np.float32
    assert user.row.features.tobytes() == FLOATS.tobytes()
    assert (user.row.as_of, user.row.region, user.row.age) == (1_780_000_000, "FR", 30)
    assert user.taste == {b"i2": 1_779_999_999, "ü1".encode(): 7}
    assert user.consumed == {b"i9": 8}


def test_all_users_are_one_call_that_names_each_once(client, server):
    first, nobody, again, other = client.read(["u1", "nobody", "u1", "ü 2"])
    assert server.asked == [["u1", "nobody", "ü 2"]]
    assert nobody is None
    assert first is again
    assert (other.row.region, other.row.age, other.taste, other.consumed) == ("", -1, {}, {})


def test_a_connection_is_kept_until_the_other_side_closes_it(client, server):
    client.read(["u1"])
    client.read(["u1"])
    assert server.peers[0] == server.peers[1]
    client._connection.sock.shutdown(socket.SHUT_RDWR)  # as a server that went away
    assert client.read(["u1"])[0].row.age == 30
    assert server.peers[2] != server.peers[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"status": 500, "body": b"boom"}, "HTTP 500: boom"),
        ({"status": 404, "body": b"Feature service does not exist"}, "HTTP 404: Feature service does not exist"),
        ({"body": b"{"}, "not an answer to what was asked: JSONDecodeError"),
        ({"body": b"[" * 100_000}, "not an answer to what was asked: RecursionError"),
        ({"body": b"\xff\xfe{}"}, "not an answer"),
        ({"body": b"[]"}, "not an answer"),
        ({"body": b"{}"}, "KeyError: 'metadata'"),
        ({"columns": COLUMNS[1:]}, f"'user_rows_{SCHEMA}__user_age' is not in list"),
        ({"rows": {"u1": ROW | {"user_ctr": "much"}}}, "user_ctr: expected a number or null"),
        ({"rows": {"u1": ROW | {"user_ctr": True}}}, "user_ctr: expected a number or null"),
        ({"rows": {"u1": ROW | {"user_ctr": 1e300}}}, "user_ctr: expected a finite float32"),
        ({"rows": {"u1": ROW | {"as_of": 1.5}}}, "as_of: expected a whole number"),
        ({"rows": {"u1": ROW | {"age": None}}}, "age: expected a whole number from -1 to 150, got None"),
        ({"rows": {"u1": ROW | {"home_region": "FRANCE"}}}, "home_region: expected a two-letter"),
        ({"rows": {"u1": ROW | {"history": ["i1"] * 51}}}, "history: expected at most 50"),
        ({"rows": {"u1": ROW | {"history_at": [1]}}}, "zip"),
        ({"rows": {"u1": ROW | {"history": [1, 2]}}}, "history: expected item ids"),
        ({"rows": {"u1": ROW | {"consumed": ["i1", None]}}}, "consumed: expected item ids"),
        ({"rows": {"u1": ROW | {"consumed_at": [-1]}}}, "consumed_at: expected a whole number"),
    ],
)
def test_an_answer_that_is_not_what_was_asked_for_is_refused(client, server, change, says):
    for name, value in change.items():
        setattr(server, name, value)
    with pytest.raises(Unavailable, match="user rows: Feast at") as refused:
        client.read(["u1"])
    assert says in str(refused.value)


def test_rows_of_another_schema_are_refused(client, server):
    theirs = FeatureServer("0011223344556677", server.rows)
    question = {"feature_service": "user_rows_0011223344556677", "entities": {"user_id": ["u1"]}}
    server.body = json.dumps(theirs.answer(question | {"full_feature_names": True})).encode()
    theirs.close()
    with pytest.raises(Unavailable, match=f"'user_rows_{SCHEMA}__user_age' is not in list"):
        client.read(["u1"])


def test_fewer_values_than_users_are_refused(client, server):
    server.body = json.dumps(
        server.answer({"feature_service": f"user_rows_{SCHEMA}", "full_feature_names": True,
                       "entities": {"user_id": ["u1"]}})
    ).encode()  # fmt: skip
    with pytest.raises(Unavailable, match="user_age: expected 2 values, got 1"):
        client.read(["u1", "ü 2"])


def test_a_refused_connection_is_unavailable_at_once():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(Unavailable, match="ConnectionRefusedError"):
        FeastClient("127.0.0.1", port, 5.0, SCHEMA).read(["u1"])


def test_a_black_hole_costs_the_time_out_and_then_nothing():
    with socket.create_server(("127.0.0.1", 0)) as hole:
        client = FeastClient("127.0.0.1", hole.getsockname()[1], 0.05, SCHEMA)
        for _ in range(3):
            start = time.monotonic()
            with pytest.raises(Unavailable, match="no whole answer within 50 ms"):
                client.read(["u1"])
            assert 0.04 < time.monotonic() - start < 0.2
        start = time.monotonic()
        with pytest.raises(Unavailable, match="not asked"):
            client.read(["u1"])
        assert time.monotonic() - start < 0.02


def test_an_answer_that_drips_in_ends_at_the_time_out():
    def drip() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n":
                connection.sendall(bytes([byte]))
                time.sleep(0.01)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip)
        thread.start()
        client = FeastClient("127.0.0.1", listener.getsockname()[1], 0.1, SCHEMA)
        start = time.monotonic()
        with pytest.raises(Unavailable, match="no whole answer within 100 ms"):
            client.read(["u1"])
        assert time.monotonic() - start < 0.3
        client.close()
        thread.join(5)


def test_the_log_says_why_once(client, server, caplog):
    server.status, server.body = 500, b"no space left"
    with caplog.at_level(logging.WARNING):
        for _ in range(20):
            with pytest.raises(Unavailable):
                client.read(["u1"])
    assert [r.message for r in caplog.records if "no space left" in r.message] == [
        f"user rows: Feast at 127.0.0.1:{server.port}, view user_rows_{SCHEMA}: HTTP 500: no space left"
    ]
    assert len(caplog.records) == 2  # and that it is left alone
    assert len(server.asked) == 3


def test_a_server_that_recovers_is_asked_again(client, server):
    server.status, server.body = 500, b""
    for _ in range(3):
        with pytest.raises(Unavailable):
            client.read(["u1"])
    server.status, server.body = 200, None
    time.sleep(1.05)
    assert client.read(["u1"])[0].row.age == 30


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("redis", None),
        ("feast://127.0.0.1:6567", ("127.0.0.1", 6567)),
        ("feast://features.internal", ("features.internal", 6566)),
        ("feast://[::1]:7000/", ("::1", 7000)),
    ],
)
def test_a_source_names_redis_or_a_feature_server(source, address):
    assert feast_address(source) == address
    assert (FeastClient.of(Settings(feature_source=source), SCHEMA) is None) == (address is None)


@pytest.mark.parametrize(
    "source", ["", "feast", "feast://", "http://h:1", "feast://h:port", "feast://h:0", "feast://h:70000", "feast://u@h"]
)
def test_a_source_that_makes_no_sense_is_refused(source):
    with pytest.raises(SetupError, match="FEATURE_SOURCE: expected 'redis' or 'feast://host:port', got"):
        feast_address(source)


def test_a_feature_server_that_is_not_there_is_told_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(SetupError, match=f"Feast at 127.0.0.1:{port} does not answer .*refused.*FEATURE_SOURCE"):
        require_feast("127.0.0.1", port)


def test_rows_that_feast_lacks_are_told_before_they_are_needed(server):
    source = f"feast://127.0.0.1:{server.port}"
    require_user("redis", SCHEMA, "anybody")
    require_user(source, SCHEMA, "u1")
    with pytest.raises(Unavailable, match=f"view user_rows_{SCHEMA}: has no row of 'nobody'"):
        require_user(source, SCHEMA, "nobody")


# --- in the path of a request --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with EmbeddedRedis() as redis:
        yield redis.url


@pytest.fixture
def features(tiny_release) -> Iterator[FeatureServer]:
    """What Feast would hold of the tiny release."""
    release, users = Release.open(tiny_release), UserRows.open(tiny_release / "users")
    regions = [*release.vocabulary.regions, ""]
    rows = {}
    for row in range(len(users)):
        numbers = [None if math.isnan(x) else float(x) for x in users.features[row]]
        known = users.history[row] >= 0
        rows[users.ids[row].decode()] = dict(zip(FEATURES, numbers, strict=True)) | {
            "home_region": regions[users.region[row]], "age": int(users.age[row]), "as_of": release.manifest.as_of,
            "history": [i.decode() for i in release.items.ids.take(users.history[row][known])],
            "history_at": users.history_at[row][known].tolist(),
            "consumed": [i.decode() for i in release.items.ids.take(users.consumed.of(row)[0])],
            "consumed_at": users.consumed.of(row)[1].tolist(),
        }  # fmt: skip
    server = FeatureServer(release.manifest.feature_schema, rows)
    yield server
    server.close()


@pytest.fixture
def pipeline(tiny_release, redis_url, features, monkeypatch) -> Iterator[Pipeline]:
    connect(redis_url, 1.0).flushall()
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("REDIS_TIMEOUT_MS", "500")
    monkeypatch.setenv("FEATURE_SOURCE", f"feast://127.0.0.1:{features.port}")
    monkeypatch.setenv("FEAST_TIMEOUT_MS", "1000")
    pipeline = Pipeline.open(tiny_release)
    yield pipeline
    for step in pipeline.steps.values():
        if close := getattr(step, "close", None):
            close()


def ask(pipeline: Pipeline, *users: str) -> list[tuple[list[bytes], bytes]]:
    """Items and reasons of each user; nothing is remembered as shown."""
    ids = np.array([[user.encode()] for user in users], np.object_)
    answer = pipeline(user_id=ids, record=np.zeros((len(users), 1), bool))
    return [(answer["item_id"][i].tolist(), answer["degraded"][i, 0]) for i in range(len(users))]


def test_feast_is_asked_once_for_all_that_lack_an_embedding_and_not_again(pipeline, features, redis_url, tiny_release):
    first = ask(pipeline, "u1", "u2", "nobody")
    assert [degraded for _, degraded in first] == [b"", b"", b"cold_start"]
    assert ask(pipeline, "u2", "u1") == [first[1], first[0]]
    ask(pipeline, "u1", "u3")
    assert features.asked == [["u1", "u2", "nobody"], ["u3"]]
    client, manifest = connect(redis_url, 1.0), Release.open(tiny_release).manifest
    row, embedding = f"user_feat:{manifest.feature_schema}:", f"user_emb:{manifest.embedding_space}:"
    assert EMBEDDING_TTL < client.ttl(f"{row}u1") <= ROW_TTL
    assert client.ttl(f"{embedding}u1") <= EMBEDDING_TTL
    assert not client.exists(f"{row}nobody", f"{embedding}nobody", "user_history:nobody")


def test_a_row_that_is_gone_is_a_miss_though_the_embedding_is_there(pipeline, features, redis_url, tiny_release):
    before = ask(pipeline, "u1")
    connect(redis_url, 1.0).delete(f"user_feat:{Release.open(tiny_release).manifest.feature_schema}:u1")
    assert ask(pipeline, "u1") == before
    assert features.asked == [["u1"], ["u1"]]


def test_a_taste_of_feast_is_merged_with_what_feedback_has_added(pipeline, features, redis_url):
    client = connect(redis_url, 1.0)
    client.zadd("user_history:u1", {"i1": 1_900_000_000})
    ask(pipeline, "u1")
    history = [item.decode() for item in client.zrevrange("user_history:u1", 0, -1)]
    assert history == ["i1", *(item for item in features.rows["u1"]["history"] if item != "i1")][:50]
    assert ask(pipeline, "u1")[0][1] == b""
    assert features.asked == [["u1"]]  # the embedding is of the merged history


@pytest.mark.parametrize("fault", ["down", "error", "nonsense", "other schema", "black hole"])
def test_a_feast_that_fails_leaves_20_items_and_is_told(pipeline, features, monkeypatch, fault):
    known = ask(pipeline, "u1")
    if fault == "down":
        features.close()
        pipeline.steps["user_encoder"].feast.close()
    elif fault == "black hole":
        hole = socket.create_server(("127.0.0.1", 0))
        client = pipeline.steps["user_encoder"].feast
        client.close()
        client._connection.port, client._timeout = hole.getsockname()[1], 0.05
    elif fault == "error":
        features.status, features.body = 500, b"boom"
    elif fault == "other schema":
        features.columns = [f"x_{column}" for column in COLUMNS]
    else:
        features.body = b'{"metadata": {"feature_names": []}, "results": []}'
    for _ in range(5):
        start = time.monotonic()
        ((items, degraded),) = ask(pipeline, "u2")
        assert time.monotonic() - start < 1
        assert len(set(items)) == 20
        assert degraded == b"user_state_unavailable"
    assert ask(pipeline, "u1") == known  # whose row and embedding lie in Redis
