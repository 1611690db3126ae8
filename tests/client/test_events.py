from __future__ import annotations

import time

import numpy as np
import pytest

from trident.errors import Unavailable
from trident_client import Event, InvalidRequest, Recommender, ServerError
from trident_client.codec import decode_entries, encode_events


def tensors(*events: Event) -> dict[str, np.ndarray]:
    return {spec.name: array for spec, array in encode_events(events)}


def test_what_no_event_has_is_not_sent():
    given = tensors(Event("ü", "i", "click", 5))
    assert {name: array.tolist() for name, array in given.items()} == {
        "user_id": [["ü".encode()]],
        "item_id": [[b"i"]],
        "event_type": [[b"click"]],
        "timestamp": [[5]],
    }


def test_what_one_event_has_and_another_has_not_is_unknown_for_the_other():
    given = tensors(Event("a", "i", "view", 5, duration_seconds=3, region="DE"), Event("b", "i", "view", 6, "tv"))
    assert given["device"].tolist() == [[b""], [b"tv"]]
    assert given["region"].tolist() == [[b"DE"], [b""]]
    assert (given["duration_seconds"].dtype, given["duration_seconds"][0, 0]) == (np.float32, 3)
    assert np.isnan(given["duration_seconds"][1, 0])


def test_an_event_has_its_time_from_the_start_so_that_it_can_be_sent_again():
    event = Event("a", "i", "click")
    assert abs(event.timestamp - time.time()) < 5
    first, again = tensors(event), tensors(event)
    assert first["timestamp"] == again["timestamp"] == event.timestamp


BAD = [
    (Event("", "i", "click"), "feedback: input 'user_id': expected 1 to 128 bytes"),
    (Event("u", "i" * 129, "click"), "feedback: input 'item_id': .* got 129 bytes"),
    (Event("u", None, "click"), r"feedback: input 'item_id': expected str \(dtype BYTES\), got NoneType None"),
    (Event("u", "i", "bought"), "input 'event_type': expected one of view, click, like, add, share, purchase, got 'bo"),
    (Event("u", "i", "click", -1), "input 'timestamp': expected 0 to 4102444800, got -1"),
    (Event("u", "i", "click", duration_seconds=-1), "input 'duration_seconds': expected 0 to 86400, or NaN, got -1"),
    (Event("u", "i", "click", duration_seconds="3"), r"'duration_seconds': expected float \(dtype FP32\), got str '3'"),
    (Event("u", "i", "click", duration_seconds=True), r"'duration_seconds': expected float \(dtype FP32\), got bool"),
    (Event("u", "i", "click", device="fridge"), "input 'device': expected one of mobile"),
]


@pytest.mark.parametrize(("event", "text"), BAD)
def test_a_bad_event_is_refused_before_any_is_sent(event, text):
    with Recommender("127.0.0.1:9") as recommender, pytest.raises(InvalidRequest, match=text):
        recommender.feedback_many([Event("u", "i", "view")] * 64 + [event])


def test_an_event_that_reaches_nobody_is_an_error_even_with_a_fallback_list(free_port):
    with (
        Recommender(f"127.0.0.1:{free_port()}", fallback=["i"], deadline=0.5) as recommender,
        pytest.raises(Unavailable),
    ):
        recommender.feedback("u", "i", "click")


def test_an_answer_without_an_entry_for_every_event_is_a_server_error():
    entries = np.array([[b"1-0"], [b"1-1"]], object)
    assert decode_entries({"entry_id": entries}.get, 2) == ["1-0", "1-1"]
    with pytest.raises(ServerError, match="feedback: the answer lacks output 'entry_id'"):
        decode_entries({}.get, 1)
    with pytest.raises(ServerError, match=r"feedback: output 'entry_id': expected shape \[3, 1\], got shape \[2, 1\]"):
        decode_entries({"entry_id": entries}.get, 3)
