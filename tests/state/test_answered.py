"""A repeated request id: the same answer again, recorded once."""

from __future__ import annotations

import ast
from itertools import product
from pathlib import Path

import pytest

from trident.state.answered import TTL, Answered, answered_key, pack_answered, unpack_answered
from trident.state.history import history_key
from trident.state.keys import key
from trident.state.store import UserStore

SPACE, SCHEMA = "00112233445566ff", "aabbccddeeff0011"
NOW, WEEK = 1_700_000_000, 604_800
ROOT = Path(__file__).resolve().parents[2]
ODD = [
    "u",
    "u ",
    "a:b",
    "b",
    "a",
    "{a}",
    "{a}b",
    "ü",
    "u\u0308",
    "b'u'",
    "*",
    "a:b:c",
    "b:c",
    "'; DEL x",
    "🙂" * 32,
    "\\x00",
]


@pytest.fixture
def store(client):
    return UserStore(client, SPACE, SCHEMA)


def shown(store, request, now=NOW, user="u1"):
    (state,) = store.read([user], [now], WEEK, [request])
    return sorted(state.shown), state.answered_at


def record(store, request, items, now=NOW, user="u1"):
    store.record_shown([(user, now, items)], WEEK, 100, [request])


def test_what_was_shown_under_the_same_id_does_not_count_as_shown(store):
    record(store, "", [b"old"])
    record(store, "r1", [b"a", b"b"], NOW + 1)
    assert shown(store, "r1", NOW + 5) == ([b"old"], NOW + 1)
    assert shown(store, "r2", NOW + 5) == ([b"a", b"b", b"old"], None)
    assert shown(store, "", NOW + 5) == ([b"a", b"b", b"old"], None)


def test_the_id_of_one_user_says_nothing_of_another(store):
    record(store, "r1", [b"a"])
    record(store, "", [b"a"], user="u2")
    assert shown(store, "r1", user="u2") == ([b"a"], None)


def test_users_with_and_without_an_id_are_read_together(store):
    for user in ("u1", "u2", "u3"):
        record(store, "r1", [user.encode()], user=user)
    states = store.read(["u1", "u2", "u3"], [NOW] * 3, WEEK, ["", "r1", "r2"])
    assert [state.answered_at for state in states] == [None, NOW, None]
    assert [state.shown for state in states] == [(b"u1",), (), (b"u3",)]


def test_an_answer_given_twice_under_one_id_is_recorded_once(store, client):
    record(store, "r1", [b"a", b"b"])
    before = client.zrange("recent_items:u1", 0, -1, withscores=True), client.get(answered_key("r1", "u1"))
    record(store, "r1", [b"b", b"a"])
    assert (client.zrange("recent_items:u1", 0, -1, withscores=True), client.get(answered_key("r1", "u1"))) == before


def test_it_is_forgotten_after_some_minutes_and_repeating_does_not_prolong_it(store, client):
    record(store, "r1", [b"a"])
    assert 0 < client.ttl(answered_key("r1", "u1")) <= TTL
    client.expire(answered_key("r1", "u1"), 10)
    record(store, "r1", [b"a"])
    assert client.ttl(answered_key("r1", "u1")) <= 10


def test_without_an_id_or_items_there_is_no_note(store, client):
    record(store, "", [b"a"])
    record(store, "r1", [])
    assert client.keys("*") == [b"recent_items:u1"]


def test_a_damaged_note_is_none(store, client):
    record(store, "r1", [b"a"])
    name = answered_key("r1", "u1")
    value = client.get(name)
    damaged = [
        b"",
        b"x",
        value[:-1],
        value + b"x",
        *(value[:i] + bytes([value[i] ^ 1]) + value[i + 1 :] for i in (0, 4, 9, 17)),
    ]
    for one in damaged:
        assert unpack_answered(one) is None
        client.set(name, one)
        assert shown(store, "r1") == ([b"a"], None)
    client.delete(name)
    client.lpush(name, "x")
    assert shown(store, "r1") == ([b"a"], None)


def test_an_answer_survives_its_encoding():
    for items in [(b"a",), (b"a", "ü 🙂".encode(), b"x" * 128), tuple(b"%d" % i for i in range(50))]:
        assert unpack_answered(pack_answered(NOW, items)) == Answered(NOW, items)


def test_users_of_odd_names_never_share_a_key(store, client):
    for user in ODD:
        record(store, "r1", [user.encode()], user=user)
    for user in ODD:
        assert shown(store, "", user=user) == ([user.encode()], None)
        assert shown(store, "r1", user=user) == ([], NOW)
    assert len(client.keys("recent_items:*")) == len(client.keys("answered:*")) == len(ODD)
    assert len({answered_key(request, user) for request, user in product(ODD, ODD)}) == len(ODD) ** 2


def test_a_key_is_not_made_of_raw_bytes(store):
    for make in (lambda: key("recent_items", b"u1"), lambda: history_key(b"u1"), lambda: answered_key("r", b"u1")):
        with pytest.raises(TypeError, match=r"expected str, got bytes b'u1': decode it first"):
            make()
    with pytest.raises(TypeError):
        store.read([b"u1"], [NOW], WEEK)


def test_no_value_is_ever_unpickled():
    folders = ("trident", "export/trident_export", "client/trident_client", "loadtest/trident_loadtest", "backends")
    for path in (p for folder in folders for p in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        keywords = {k.arg for node in ast.walk(tree) if isinstance(node, ast.Call) for k in node.keywords}
        assert not names & {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}, path
        assert "allow_pickle" not in keywords, path
