from __future__ import annotations

import math

import numpy as np
import pytest

from trident.contract import FUNNEL, RECOMMEND
from trident_client.codec import decode, encode
from trident_client.errors import InvalidRequest, ServerError
from trident_client.recommender import Recommender
from trident_client.results import RecommendedItem

BAD = [
    ({"user_id": ""}, "recommend: input 'user_id': expected 1 to 128 bytes of UTF-8 without control characters, got 0"),
    ({"user_id": "x" * 129}, "input 'user_id': expected 1 to 128 bytes .*, got 129 bytes"),
    ({"user_id": "é" * 65}, "got 130 bytes"),
    ({"user_id": "a\nb"}, "input 'user_id': .* got a control character"),
    ({"user_id": "\ud800"}, "input 'user_id': .* got bytes that are not UTF-8"),
    ({"user_id": 42}, r"input 'user_id': expected str \(dtype BYTES\), got int 42"),
    ({"user_id": None}, r"input 'user_id': expected str \(dtype BYTES\), got NoneType None"),
    ({"device": "phone"}, "input 'device': expected one of mobile, desktop, tablet, tv, or empty, got 'phone'"),
    ({"region": "x" * 50}, "input 'region': expected a two-letter ISO 3166 country code in capitals, or empty, got 50"),
    ({"region": "de"}, "input 'region': .* got 'de'"),
    ({"timestamp": -1}, "input 'timestamp': expected 0 to 4102444800, got -1"),
    ({"timestamp": 10**30}, "input 'timestamp': .* got 1000000000000000000000000000000"),
    ({"timestamp": 1.5}, r"input 'timestamp': expected int \(dtype INT64\), got float 1\.5"),
    ({"limit": 0}, "input 'limit': expected 1 to 50, got 0"),
    ({"limit": 1000}, "input 'limit': expected 1 to 50, got 1000"),
    ({"limit": True}, r"input 'limit': expected int \(dtype INT32\), got bool True"),
    ({"limit": "20"}, r"input 'limit': expected int \(dtype INT32\), got str '20'"),
    ({"record": 1}, r"input 'record': expected bool \(dtype BOOL\), got int 1"),
    ({"deadline": 0}, "deadline: expected seconds above 0, got 0"),
    ({"deadline": math.nan}, "deadline: expected seconds above 0, got nan"),
]


@pytest.mark.parametrize(("wrong", "text"), BAD)
def test_bad_input_is_refused_before_it_is_sent(wrong, text):
    with Recommender("127.0.0.1:9") as recommender, pytest.raises(InvalidRequest, match=text):
        recommender.recommend(**{"user_id": "u", **wrong})


@pytest.mark.parametrize("users", [[], "u42", ()])
def test_many_users_must_be_a_list(users):
    with Recommender("127.0.0.1:9") as recommender, pytest.raises(InvalidRequest, match="expected a list of at least"):
        recommender.recommend_many(users)


def test_a_list_of_options_must_be_as_long_as_the_users():
    with pytest.raises(InvalidRequest, match=r"input 'limit': expected shape \[3, 1\], got shape \[2, 1\]"):
        encode(["a", "b", "c"], {"limit": [1, 2]})


def test_options_left_out_are_not_sent_and_the_others_have_the_dtypes_of_the_contract():
    tensors = {spec.name: array for spec, array in encode(["a", "ü"], {"limit": 5, "record": True, "region": None})}
    assert list(tensors) == ["user_id", "limit", "record"]
    assert tensors["user_id"].tolist() == [[b"a"], ["ü".encode()]]
    assert (tensors["limit"].dtype, tensors["record"].dtype) == (np.int32, np.bool_)
    assert tensors["limit"].tolist() == [[5], [5]]


def test_numpy_numbers_are_numbers():
    [_, (_, limit)] = encode(["u"], {"limit": np.int64(7)})
    assert limit.tolist() == [[7]]


@pytest.fixture
def answer() -> dict[str, np.ndarray]:
    return {
        "item_id": np.array([[b"i1", b"i2"], [b"i3", b""]], object),
        "score": np.array([[0.5, 0.25], [0.125, np.nan]], np.float32),
        "release": np.array([[3], [3]], np.int64),
        "funnel": np.arange(2 * len(FUNNEL), dtype=np.int32).reshape(2, -1),
        "degraded": np.array([[b""], [b"cold_start,popular_fallback"]], object),
    }


def test_an_answer_is_read_row_by_row_and_pads_are_left_out(answer):
    first, second = decode(answer.get, ["a", "b"])
    assert first.items == (RecommendedItem("i1", 0.5), RecommendedItem("i2", 0.25))
    assert second.items == (RecommendedItem("i3", 0.125),)
    assert (first.degraded, second.degraded) == ((), ("cold_start", "popular_fallback"))
    assert (first.funnel[FUNNEL[0]], second.funnel[FUNNEL[0]]) == (0, len(FUNNEL))
    assert second.release == 3


@pytest.mark.parametrize("name", [t.name for t in RECOMMEND.outputs])
def test_an_answer_without_an_output_is_a_server_error(answer, name):
    del answer[name]
    with pytest.raises(ServerError, match=f"the answer lacks output '{name}'"):
        decode(answer.get, ["a", "b"])


@pytest.mark.parametrize(
    ("name", "wrong", "text"),
    [
        ("release", np.zeros((1, 1), np.int64), r"output 'release': expected shape \[2, 1\], got shape \[1, 1\]"),
        ("score", np.zeros((2, 2)), "output 'score': expected dtype FP32, got dtype float64"),
        ("score", np.zeros((2, 3), np.float32), "cannot be read"),
        ("item_id", np.array([[b"\xff", b""]] * 2, object), "cannot be read"),
        ("funnel", np.zeros((2, 3), np.int32), "output 'funnel': expected shape"),
    ],
)
def test_an_answer_of_another_form_is_a_server_error(answer, name, wrong, text):
    with pytest.raises(ServerError, match=text):
        decode((answer | {name: wrong}).get, ["a", "b"])
