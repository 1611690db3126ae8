"""A real cluster of three redis-servers."""

import signal
import time
from collections import Counter
from dataclasses import replace

import pytest
from redis.crc import key_slot

from trident.errors import Unavailable
from trident.serving.redis import require_answer
from trident.settings import Settings
from trident.state.connection import connect
from trident.state.store import UserStore

SPACE, SCHEMA = "00112233445566ff", "aabbccddeeff0011"
NOW, WEEK = 1_700_000_000, 604_800
TIMEOUT = 0.1  # seconds; five times that of a server, for machines that are busy
USERS = [f"u{i}" for i in range(64)]
SLOTS = 16_384


@pytest.fixture(scope="module")
def nodes(start_redis):
    options = ("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no", "--cluster-node-timeout", "60000")
    nodes = [start_redis(*options) for _ in range(3)]
    for i, node in enumerate(nodes):
        node.admin.execute_command("CLUSTER", "ADDSLOTS", *range(i * SLOTS // 3, (i + 1) * SLOTS // 3))
        node.admin.execute_command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
    for node in nodes[1:]:
        node.admin.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    for node in nodes:
        while len(node.admin.execute_command("CLUSTER", "SLOTS")) < 3 or not _is_well(node):
            time.sleep(0.01)
    return nodes


def _is_well(node) -> bool:
    return b"cluster_state:ok" in node.admin.execute_command("CLUSTER", "INFO")


@pytest.fixture
def url(nodes):
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


@pytest.fixture
def store(nodes, url):
    for node in nodes:
        node.admin.flushall()
    store = UserStore.connect(Settings(redis_url=url, redis_timeout=TIMEOUT), SPACE, SCHEMA)
    store.read(USERS, [NOW] * len(USERS), WEEK)
    yield store
    store.close()


def read(store):
    return store.read(USERS, [NOW] * len(USERS), WEEK)


def timed(call):
    started = time.perf_counter()
    result = call()
    return result, time.perf_counter() - started


def keys_of(user: str) -> list[str]:
    return [f"user_feat:{SCHEMA}:{user}", f"user_history:{user}"]


def test_users_are_spread_over_all_servers_and_read_in_one_go(nodes, store):
    store.record_shown([(user, NOW, [user.encode()]) for user in USERS], WEEK, 100, USERS)
    held = Counter({node.port: len(node.admin.keys("recent_items:*")) for node in nodes})
    assert sum(held.values()) == len(USERS)
    assert min(held.values()) > 5
    assert [state.shown for state in read(store)] == [(user.encode(),) for user in USERS]
    again = store.read(USERS, [NOW] * len(USERS), WEEK, USERS)
    assert [(state.shown, state.answered_at) for state in again] == [((), NOW)] * len(USERS)


@pytest.mark.parametrize("broken", [signal.SIGKILL, signal.SIGSTOP])
def test_one_server_that_breaks_takes_only_its_keys_and_little_time(nodes, store, broken):
    store.record_shown([(user, NOW, [b"a"]) for user in USERS], WEEK, 9)
    victim = nodes[1]
    first, last = SLOTS // 3, 2 * SLOTS // 3
    victim.signal(broken)
    if broken == signal.SIGKILL:
        victim.child.process.wait()
    try:
        for _ in range(6):
            states, spent = timed(lambda: read(store))
            assert spent < 2 * TIMEOUT
        lost = [any(first <= key_slot(key.encode()) < last for key in keys_of(user)) for user in USERS]
        assert [state.unavailable for state in states] == lost
        assert 0 < sum(lost) < len(USERS)
        elsewhere = [not first <= key_slot(f"recent_items:{user}".encode()) < last for user in USERS]
        assert [state.shown == (b"a",) for state in states] == elsewhere
        assert timed(lambda: read(store))[1] < 0.8 * TIMEOUT
    finally:
        if broken == signal.SIGKILL:
            victim.kill()
            victim.start()
        else:
            victim.signal(signal.SIGCONT)
    end = time.monotonic() + 3
    while any(state.unavailable for state in read(store)):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_slot_that_moves_is_followed_without_asking_twice_in_one_request(nodes, store):
    user = next(u for u in USERS if key_slot(f"recent_items:{u}".encode()) < SLOTS // 3)
    slot = key_slot(f"recent_items:{user}".encode())
    ids = [node.admin.execute_command("CLUSTER", "MYID").decode() for node in nodes]
    assert not store.read([user], [NOW], WEEK)[0].shown_unknown
    _move(nodes, slot, ids[2])
    try:
        assert store.read([user], [NOW], WEEK)[0].shown_unknown
        assert not store.read([user], [NOW], WEEK)[0].shown_unknown
    finally:
        _move(nodes, slot, ids[0])


def _move(nodes, slot: int, to: str) -> None:
    for node in nodes:
        node.admin.execute_command("CLUSTER", "SETSLOT", slot, "NODE", to)


def test_a_cluster_of_which_nothing_answers_costs_no_more_than_one_server(nodes):
    dead = Settings(redis_url="redis+cluster://127.0.0.1:1,127.0.0.1:2", redis_timeout=TIMEOUT)
    store = UserStore.connect(dead, SPACE, SCHEMA)
    for _ in range(5):
        started = time.perf_counter()
        with pytest.raises(Unavailable):
            read(store)
        assert time.perf_counter() - started < 3 * TIMEOUT
    store.close()
    with pytest.raises(Unavailable, match=r"Redis Cluster at redis\+cluster://127.0.0.1:1,127.0.0.1:2 does not answer"):
        connect(dead.redis_url.replace("//", "//user:secret@"), 0.2)


def test_one_address_of_a_cluster_is_enough_and_the_others_need_not_answer(nodes):
    url = f"redis+cluster://127.0.0.1:1,127.0.0.1:{nodes[2].port}"
    store = UserStore.connect(Settings(redis_url=url, redis_timeout=TIMEOUT), SPACE, SCHEMA)
    end = time.monotonic() + 3
    while time.monotonic() < end:
        try:
            if not any(state.unavailable for state in read(store)):
                break
        except Unavailable:
            time.sleep(0.02)
    assert not any(state.unavailable for state in read(store))
    store.close()


def test_work_outside_of_requests_goes_to_the_whole_cluster(nodes, url):
    require_answer(url)
    client = connect(url, 1.0)
    pipe = client.pipeline(transaction=False)
    for user in USERS:
        pipe.set(f"user_feat:{SCHEMA}:{user}", b"x")
    pipe.execute()
    found = list(client.scan_iter(f"user_feat:{SCHEMA}:*"))
    assert len(found) == len(USERS)
    assert client.unlink(*found) == len(USERS)
    client.close()


def test_a_password_goes_to_every_server_of_a_cluster(nodes, url):
    for node in nodes:
        node.admin.execute_command("ACL", "SETUSER", "trident", "on", ">secret", "~*", "+@all")
    given = url.replace("//", "//trident:secret@")
    store = UserStore.connect(replace(Settings(), redis_url=given), SPACE, SCHEMA)
    read(store)
    names = {line["user"] for node in nodes for line in node.admin.client_list()}
    assert names == {"default", "trident"}
    assert sum("trident" in {line["user"] for line in node.admin.client_list()} for node in nodes) == 3
    store.close()
