from __future__ import annotations

import json

import pytest

from trident.errors import InvalidInput
from trident_loadtest.perf_analyzer import write_input
from trident_loadtest.request_profile import ProfileRequest, arrivals_of, read_profile, write_profile

FULL = ProfileRequest("ü1", "tv", "DE", limit=50, record=False, ago=7200, at=1.25)


def test_what_is_written_is_read_and_defaults_are_left_out(tmp_path):
    path = tmp_path / "new" / "profile.jsonl"
    write_profile(path, [ProfileRequest("u1"), FULL])
    assert read_profile(path) == [ProfileRequest("u1"), FULL]
    assert path.read_text().splitlines()[0] == '{"user_id": "u1"}'


def test_options_are_what_the_client_takes_and_time_is_of_the_moment_of_sending():
    assert ProfileRequest("u1").options(1_000_000) == {}
    assert FULL.options(1_000_000.9) == {
        "device": "tv", "region": "DE", "limit": 50, "record": False, "timestamp": 992_800,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{", "line 1: expected a JSON object"),
        ("[]", "line 1: expected a JSON object"),
        ("{}", "expected 'user_id'"),
        ('{"user_id": 7}', "user_id: expected str, got 7"),
        ('{"user_id": "u", "limit": true}', "limit: expected int, got True"),
        ('{"user_id": "u", "colour": "red"}', "expected some of user_id, .* got 'colour'"),
        ("", "expected a request per line, got an empty file"),
    ],
)
def test_a_line_that_is_no_request_is_named(tmp_path, line, text):
    path = tmp_path / "profile.jsonl"
    path.write_text(line)
    with pytest.raises(InvalidInput, match=text):
        read_profile(path)


def test_a_file_that_is_not_there_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(InvalidInput, match="trident bench profile"):
        read_profile(tmp_path / "none")


def test_arrivals_count_from_the_first_and_must_be_known_and_in_order():
    requests = [ProfileRequest("u", at=at) for at in (5.0, 5.5, 7)]
    assert arrivals_of(requests) == [0, 0.5, 2]
    with pytest.raises(InvalidInput, match="got 3 of 4"):
        arrivals_of([*requests, ProfileRequest("u")])
    with pytest.raises(InvalidInput, match="ascending"):
        arrivals_of(requests[::-1])


def test_perf_analyzer_gets_the_same_requests_with_all_tensors(tmp_path):
    path = tmp_path / "requests.json"
    write_input(path, [ProfileRequest("u1"), FULL], now=1_000_000)
    first, second = (
        {name: tensor["content"] for name, tensor in step.items()} for step in json.loads(path.read_text())["data"]
    )
    assert first == {
        "user_id": ["u1"], "device": [""], "region": [""], "timestamp": [0], "limit": [20], "record": [True],
    }  # fmt: skip
    assert (second["timestamp"], second["record"], second["limit"]) == ([992_800], [False], [50])
