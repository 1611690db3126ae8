"""What breaks in a real Redis, and what a request loses by it."""

import os
import re
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import redis

from trident.errors import SetupError, Unavailable
from trident.live.state import LiveState
from trident.live.updates import ItemUpdates
from trident.settings import Settings
from trident.state.breaker import FAILURES
from trident.state.connection import bounded, connect
from trident.state.feast import FeastUser
from trident.state.feedback import Event, FeedbackStore
from trident.state.forget import forget_users
from trident.state.impressions import IMPRESSIONS, Logged
from trident.state.layout import UserRow
from trident.state.store import UserStore

SPACE, SCHEMA = "00112233445566ff", "aabbccddeeff0011"
NOW, WEEK = 1_700_000_000, 604_800
TIMEOUT = 0.1  # seconds; five times that of a server, for machines that are busy
SETTINGS = Settings(redis_timeout=TIMEOUT)


def store_at(url: str) -> UserStore:
    return UserStore.connect(replace(SETTINGS, redis_url=url), SPACE, SCHEMA)


@pytest.fixture(scope="module")
def server(start_redis):
    return start_redis()


@pytest.fixture
def store(server):
    server.admin.flushall()
    store = store_at(server.url)
    store.read(["warm"], [NOW], WEEK)
    yield store
    store.close()


def seconds(call) -> float:
    started = time.perf_counter()
    with pytest.raises(Unavailable):
        call()
    return time.perf_counter() - started


def read(store):
    return store.read(["u1"], [NOW], WEEK)


def record(store):
    store.record_shown([("u1", NOW, [b"a"])], WEEK, 100)


def answers_within(store, limit: float) -> bool:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        try:
            return bool(read(store))
        except Unavailable:
            time.sleep(0.01)
    return False


def test_a_killed_redis_costs_nothing_and_is_used_again_soon_after_it_is_back(server, store):
    server.kill()
    assert max(seconds(lambda: read(store)) for _ in range(50)) < TIMEOUT
    server.start()
    assert answers_within(store, 2.0)
    record(store)


def test_a_restart_between_two_requests_is_not_noticed(server, store):
    server.kill()
    server.start()
    assert not read(store)[0].unavailable


def test_a_redis_that_hangs_costs_three_time_outs_and_then_nothing_but_a_probe(server, store):
    server.signal(signal.SIGSTOP)
    try:
        spent = [seconds(lambda: read(store)) for _ in range(30)]
        assert all(0.8 * TIMEOUT < s < 2.5 * TIMEOUT for s in spent[:FAILURES])
        assert max(spent[FAILURES:]) < 0.3 * TIMEOUT
        assert server.child.death == ""
    finally:
        server.signal(signal.SIGCONT)
    assert answers_within(store, 2.0)


def test_while_the_breaker_is_open_redis_is_not_touched(server, store):
    server.signal(signal.SIGSTOP)
    try:
        for _ in range(FAILURES):
            seconds(lambda: read(store))
    finally:
        server.signal(signal.SIGCONT)
    before = server.admin.info("stats")["total_connections_received"], server.admin.info("commandstats")
    for _ in range(20):
        seconds(lambda: read(store))
    after = server.admin.info("stats")["total_connections_received"], server.admin.info("commandstats")
    assert before[0] == after[0]
    assert before[1].get("cmdstat_zrevrange") == after[1].get("cmdstat_zrevrange")


def test_a_full_redis_still_tells_what_it_knows(server, store):
    record(store)
    server.admin.config_set("maxmemory", 1)
    try:
        for _ in range(5):
            with pytest.raises(Unavailable, match="OutOfMemory"):
                record(store)
            assert read(store)[0].shown == (b"a",)
    finally:
        server.admin.config_set("maxmemory", 0)
    record(store)


def test_a_read_only_replica_still_tells_what_it_knows(server, store):
    record(store)
    server.admin.replicaof("127.0.0.1", "1")
    try:
        for _ in range(5):
            with pytest.raises(Unavailable, match="ReadOnly"):
                record(store)
            assert read(store)[0].shown == (b"a",)
    finally:
        server.admin.replicaof("NO", "ONE")
    record(store)


def test_a_redis_that_cannot_save_still_tells_what_it_knows(server, store):
    record(store)
    server.admin.config_set("dir", "/proc")  # where nobody can write
    server.admin.config_set("save", "1 1000000")
    server.admin.config_set("stop-writes-on-bgsave-error", "yes")
    try:
        server.admin.bgsave()
        while server.admin.info("persistence")["rdb_last_bgsave_status"] == "ok":
            time.sleep(0.01)
        with pytest.raises(Unavailable, match="ResponseError"):
            record(store)
        assert read(store)[0].shown == (b"a",)
    finally:
        server.admin.config_set("save", "")
        server.admin.config_set("dir", str(server.folder))
    record(store)


def test_a_redis_that_starts_with_much_to_load_is_used_as_soon_as_it_is_done(start_redis):
    server = start_redis("--rdbcompression", "no")
    store = store_at(server.url)
    record(store)
    server.admin.mset({f"k{i}": "x" * 10_000 for i in range(1_000)})
    server.admin.save()
    server.kill()
    server.options += ("--key-load-delay", "500")
    server.launch()
    with pytest.raises(Unavailable, match=r"BusyLoading|Timeout|Connection"):
        read(store)
    assert answers_within(store, 10.0)
    assert read(store)[0].shown == (b"a",)
    store.close()


def test_without_permission_to_write_reads_go_on(server, store):
    server.admin.execute_command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read")
    reader = store_at(server.url.replace("redis://", "redis://reader:secret@"))
    assert read(reader)[0].shown == ()
    with pytest.raises(Unavailable, match="NoPermission"):
        record(reader)
    assert not read(reader)[0].unavailable
    reader.close()


def test_one_key_of_another_type_spoils_only_what_it_held(server, store):
    server.admin.lpush(f"user_emb:{SPACE}:u1", "x")
    server.admin.lpush(f"user_feat:{SCHEMA}:u1", "x")
    server.admin.set("user_history:u1", "x")
    server.admin.set("recent_items:u1", "x")
    spoilt, other = store.read(["u1", "u2"], [NOW, NOW], WEEK)
    assert (spoilt.row, spoilt.embedding, spoilt.history, spoilt.shown) == (None, None, (), ())
    assert spoilt.embedding_refused
    assert spoilt.shown_unknown
    assert not spoilt.unavailable
    assert not other.shown_unknown


def test_all_of_a_request_goes_in_one_round_trip(server, store):
    before = server.admin.info("stats")
    store.read([f"u{i}" for i in range(8)], [NOW] * 8, WEEK)
    after = server.admin.info("stats")
    assert after["total_reads_processed"] - before["total_reads_processed"] == 2  # one of them is this question
    assert after["total_connections_received"] == before["total_connections_received"]


def test_a_bounded_redis_keeps_and_tells_what_a_plain_one_does(server, store):
    plain = UserStore(connect(server.url, 1.0), SPACE, SCHEMA)
    told = {}
    for writer, user in ((store, "ü 1"), (plain, "u:2")):
        found = FeastUser(UserRow(np.arange(40, dtype=np.float32), NOW, "FR", 30), {b"h": NOW - 1}, {b"c": NOW - 2})
        kept = writer.keep_found([user], [found], [NOW])
        writer.cache_embeddings([user], [(b"h",)], np.ones((1, 128), np.float32))
        writer.record_shown([(user, NOW, [b"a", b"b"])], WEEK, 100, ["r1"], [Logged(IMPRESSIONS, b"x", 10)])
        told[user] = [kept, *(reader.read([user], [NOW], WEEK, [id]) for reader in (store, plain) for id in ("", "r1"))]
        assert (kept[0].history, kept[0].consumed) == ((b"h",), (b"c",))
        assert told[user][1][0].shown == (b"a", b"b")
        assert told[user][2][0].answered_at == NOW
    assert repr(told["ü 1"]) == repr(told["u:2"])
    (first, second) = server.admin.xrange(IMPRESSIONS)
    assert first[1] == second[1] == {b"shown": b"x"}


def test_each_of_many_threads_gets_its_own_answers(server, store):
    for i in range(8):
        server.admin.zadd(f"user_history:u{i}", {f"i{i}": NOW})

    def reads(i: int) -> bool:
        return all(store.read([f"u{i}"], [NOW], WEEK)[0].history == (b"i%d" % i,) for _ in range(100))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(reads, range(8)))


def test_a_forked_process_does_not_use_our_connections(server, store):
    before = server.admin.info("stats")["total_connections_received"]
    child = os.fork()
    if not child:
        os._exit(0 if not read(store)[0].unavailable else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert server.admin.info("stats")["total_connections_received"] == before + 1
    assert not read(store)[0].unavailable
    assert server.admin.info("stats")["total_connections_received"] == before + 1


def asked_for_a_user(listener: socket.socket) -> socket.socket:
    """A connection over which redis-py has got what it asks for at first, and then a user was asked for."""
    peer = listener.accept()[0]
    while b"recent_items" not in (asked := peer.recv(65_536)):
        peer.sendall(b"+OK\r\n" * asked.count(b"*"))
    return peer


def test_a_connection_is_not_used_again_after_an_answer_too_much(server):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = store_at(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")
        accepted = []

        def answer() -> None:
            for extra in (b"$1\r\nx\r\n", b""):
                accepted.append(peer := asked_for_a_user(listener))
                peer.sendall(b"$-1\r\n" * 2 + b"*0\r\n" * 3 + extra)

        threading.Thread(target=answer, daemon=True).start()
        for _ in range(2):
            assert read(store)[0].history == ()
        assert len(accepted) == 2
        store.close()


def test_an_answer_that_comes_byte_by_byte_ends_with_the_time_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        store = store_at(f"redis://127.0.0.1:{listener.getsockname()[1]}/0")

        def dribble() -> None:
            peer = asked_for_a_user(listener)
            peer.sendall(b"$1000\r\n")
            with suppress(OSError):
                for _ in range(100):
                    peer.sendall(b"x")
                    time.sleep(TIMEOUT / 2)

        threading.Thread(target=dribble, daemon=True).start()
        assert seconds(lambda: read(store)) < 2.5 * TIMEOUT
        store.close()


def test_the_permissions_that_the_page_names_are_enough(server, store):
    page = (Path(__file__).resolve().parents[2] / "docs" / "state.md").read_text("utf-8")
    sentence = page.partition("The ACL user")[2].partition("\n\n")[0]
    given = [word for quoted in re.findall("`([^`]+)`", sentence) for word in quoted.split()]
    server.admin.execute_command("ACL", "SETUSER", "trident", "on", ">secret", *given)
    url = server.url.replace("redis://", "redis://trident:secret@")
    mine = store_at(url)
    mine.record_shown([("u1", NOW, [b"a"])], WEEK, 9, ["r1"])
    mine.cache_embeddings(["u1"], [[]], np.zeros((1, 128), np.float32))
    (state,) = mine.read(["u1"], [NOW], WEEK, ["r2"])
    assert state.shown == (b"a",)
    assert state.embedding is not None
    mine.close()
    assert FeedbackStore.connect(replace(SETTINGS, redis_url=url)).keep([Event("u1", "i1", "click", NOW)])
    updates = ItemUpdates(connect(url, 1.0))
    updates.change({"i1": LiveState(in_stock=False)})
    assert set(updates.all()) == {b"i1"}
    assert updates.last() != b"0-0"
    forget_users(url, SCHEMA)
    with pytest.raises(redis.exceptions.NoPermissionError):
        connect(url, 1.0).flushall()


@pytest.mark.parametrize("password", ["s3cret", "pä ss/w@rd:#?%"])
def test_a_password_comes_from_url_environment_or_file_and_a_user_with_it(start_redis, monkeypatch, tmp_path, password):
    from urllib.parse import quote

    server = start_redis()
    server.admin.execute_command("ACL", "SETUSER", "trident", "on", f">{password}", "~*", "+@all")
    server.admin.execute_command("ACL", "SETUSER", "default", "off")
    plain = server.url
    with pytest.raises(redis.AuthenticationError):
        connect(plain, 1.0).ping()
    assert connect(plain.replace("//", f"//trident:{quote(password, safe='')}@"), 1.0).ping()
    monkeypatch.setenv("REDIS_USERNAME", "trident")
    monkeypatch.setenv("REDIS_PASSWORD", password)
    assert connect(plain, 1.0).ping()
    assert not read(store_at(plain))[0].unavailable
    monkeypatch.delenv("REDIS_PASSWORD")
    file = tmp_path / "password"
    file.write_text("wrong\n")
    monkeypatch.setenv("REDIS_PASSWORD_FILE", str(file))
    client = connect(plain, 1.0)
    with pytest.raises(redis.AuthenticationError):
        client.ping()
    file.write_text(password + "\n", "utf-8")
    assert client.ping()
    file.unlink()
    client.close()
    with pytest.raises(redis.ConnectionError, match="REDIS_PASSWORD_FILE password cannot be read: No such file"):
        client.ping()


def test_the_environments_password_is_not_sent_to_the_embedded_redis(embedded, monkeypatch):
    monkeypatch.setenv("REDIS_PASSWORD", "for another one")
    assert connect(embedded.url, 1.0).ping()


@pytest.mark.parametrize(
    "url",
    [
        "http://user:secret@host",
        "redis://user:sec/secret@host:1",
        "redis://user:secret@host:port/0",
        "redis://user:secret@host/0?no_such_option=1",
        "redis+cluster://user:secret@a:1,b:x",
        "redis://host/0?password=secret&db=x",
        "secret",
    ],
)
def test_a_url_that_makes_no_sense_is_refused_without_its_password(url):
    for refuse in (lambda: connect(url, 1.0), lambda: bounded(replace(SETTINGS, redis_url=url))):
        with pytest.raises(SetupError, match=r"REDIS_URL .* cannot be read: expected redis://") as caught:
            refuse()
        assert "secret" not in str(caught.value) or url == "secret"
    assert "secret" not in repr(replace(SETTINGS, redis_url=url))


def test_the_urls_own_time_out_does_not_loosen_ours():
    store = store_at("redis://10.255.255.1:6379/0?socket_timeout=60&socket_connect_timeout=60&retry_on_timeout=yes")
    assert seconds(lambda: read(store)) < 2.5 * TIMEOUT
    store.close()
