"""What was shown, as values of two bounded streams in a real Redis."""

from __future__ import annotations

import numpy as np
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from trident.errors import Unavailable
from trident.state.connection import connect
from trident.state.impressions import (
    FEATURE_ROWS,
    IMPRESSIONS,
    LOGGED,
    LONGEST_REQUEST,
    Impression,
    Logged,
    ShownRows,
    pack_impression,
    pack_rows,
    unpack_impression,
    unpack_rows,
)
from trident.state.store import UserStore

NOON = 1_780_000_000
ID = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)


def impression(items: tuple[bytes, ...] = (b"a", b"b"), **more) -> Impression:
    scores = np.linspace(0.9, 0.1, len(items), dtype=np.float32)
    told = {"user": "ü", "time": NOON, "release": 3, "request": "r1", "device": "tv", "region": "DE", "flags": 5}
    return Impression(**{**told, **more}, items=items, scores=scores)


def shown_rows(count: int = 2, candidates: int = 7) -> ShownRows:
    rng = np.random.default_rng(0)
    rows = rng.random((count, 120), np.float32)
    rows[0, 0] = np.nan
    near = rng.random(candidates, np.float32)
    return ShownRows(
        impression(tuple(b"i%d" % n for n in range(count))), rows, np.arange(candidates, dtype=np.int32), near
    )


def same(one: Impression, other: Impression) -> bool:
    scores = (one.scores.tobytes(), other.scores.tobytes())
    fields = [{**vars(shown), "scores": None} for shown in (one, other)]
    return fields[0] == fields[1] and scores[0] == scores[1]


@settings(max_examples=50, deadline=None)
@given(
    user=ID,
    request_id=st.text(max_size=30),
    items=st.lists(ID, max_size=50, unique=True),
    release=st.integers(1, 2**40),
)
def test_an_answer_comes_back_whole(user, request_id, items, release):
    shown = impression(tuple(i.encode() for i in items), user=user, request=request_id, release=release)
    found = unpack_impression(pack_impression(shown))
    assert found is not None
    assert same(found, shown)


def test_feature_rows_come_back_bit_for_bit():
    shown = shown_rows()
    found = unpack_rows(pack_rows(shown))
    assert found is not None
    assert same(found.impression, shown.impression)
    for name in ("rows", "candidates", "similarity"):
        assert getattr(found, name).tobytes() == getattr(shown, name).tobytes()


@pytest.mark.parametrize(
    ("value", "unpack"),
    [(pack_impression(impression()), unpack_impression), (pack_rows(shown_rows()), unpack_rows)],
    ids=["impression", "rows"],
)
def test_a_damaged_value_is_nothing(value, unpack):
    assert unpack(value) is not None
    assert unpack(None) is None
    assert unpack(b"") is None
    assert unpack(value + b"\0") is None
    for place in {*range(min(64, len(value))), *range(64, len(value), 7), len(value) - 1}:
        assert unpack(value[:place]) is None
        assert unpack(value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :]) is None


def test_one_kind_of_value_is_not_the_other():
    assert unpack_rows(pack_impression(impression())) is None
    assert unpack_impression(pack_rows(shown_rows())) is None


def test_a_long_id_of_a_request_does_not_make_a_long_entry():
    value = pack_impression(impression(request="r" * 100_000))
    assert len(value) < 300
    first, second = (unpack_impression(pack_impression(impression(request=c * 500))) for c in "ab")
    assert first is not None
    assert second is not None
    assert first.request != second.request
    kept = unpack_impression(pack_impression(impression(request="r" * LONGEST_REQUEST)))
    assert kept is not None
    assert kept.request == "r" * LONGEST_REQUEST


@pytest.fixture
def client(embedded) -> redis.Redis:
    client = connect(embedded.url, 1.0)
    client.flushall()
    LOGGED.take()
    return client


def record(client: redis.Redis, *logged: Logged) -> None:
    UserStore(client, "0" * 16, "0" * 16).record_shown([("u1", NOON, [b"a"])], 604_800, 9, ["r1"], logged)


def test_what_is_logged_goes_with_what_is_remembered_and_is_counted(client):
    value, rows = pack_impression(impression()), pack_rows(shown_rows())
    record(client, Logged(IMPRESSIONS, value, 10), Logged(FEATURE_ROWS, rows, 10))
    assert client.zrange("recent_items:u1", 0, -1) == [b"a"]
    assert [fields for _, fields in client.xrange(IMPRESSIONS)] == [{b"shown": value}]
    assert [fields for _, fields in client.xrange(FEATURE_ROWS)] == [{b"rows": rows}]
    assert LOGGED.take() == {(IMPRESSIONS, "kept"): 1, (FEATURE_ROWS, "kept"): 1}


def test_a_stream_that_is_refused_costs_nothing_but_the_entry(client):
    client.set(IMPRESSIONS, "not a stream")
    record(client, Logged(IMPRESSIONS, b"x", 10), Logged(FEATURE_ROWS, b"y", 10))
    assert client.zrange("recent_items:u1", 0, -1) == [b"a"]
    assert client.xlen(FEATURE_ROWS) == 1
    assert LOGGED.take() == {(IMPRESSIONS, "lost"): 1, (FEATURE_ROWS, "kept"): 1}


def test_with_redis_gone_everything_is_lost_and_said():
    with pytest.raises(Unavailable, match="Redis does not take them"):
        record(connect("redis://127.0.0.1:9", 0.1), Logged(IMPRESSIONS, b"x", 10))
    assert LOGGED.take() == {(IMPRESSIONS, "lost"): 1}


def test_the_streams_are_bounded(client):
    for start in range(0, 1_500, 50):
        record(client, *(Logged(IMPRESSIONS, b"%d" % n, 200) for n in range(start, start + 50)))
    assert 200 <= client.xlen(IMPRESSIONS) <= 400
