import numpy as np
import pytest

from trident.contract import BUSINESS_RULES, CANDIDATES, RECOMMEND, SEARCH_REPORT, VIEWER
from trident.errors import InvalidInput
from trident.requests import apart, check_inputs, split, stack, together


def users(*names: bytes) -> np.ndarray:
    return np.array([[n] for n in names], np.object_)


def test_defaults_fill_what_is_optional():
    inputs = check_inputs(RECOMMEND, {"user_id": users(b"a", b"b")})
    assert inputs["limit"].tolist() == [[20], [20]]
    assert inputs["record"].tolist() == [[True], [True]]
    assert inputs["region"].tolist() == [[b""], [b""]]


def test_a_missing_required_input_is_named():
    with pytest.raises(InvalidInput, match="recommend: input 'user_id': expected a tensor of BYTES, got none"):
        check_inputs(RECOMMEND, {})


def test_all_inputs_must_have_as_many_users():
    with pytest.raises(InvalidInput, match=r"input 'limit': expected shape \[2, 1\], got shape \[3, 1\]"):
        check_inputs(RECOMMEND, {"user_id": users(b"a", b"b"), "limit": np.full((3, 1), 5, np.int32)})


def test_forest_rows_count_500_per_user():
    spec = BUSINESS_RULES.input("click_probability")
    with pytest.raises(InvalidInput, match=r"expected shape \[1000, 1\], got shape \[500, 1\]"):
        spec.check(np.zeros((500, 1), np.float32), "business_rules", 1000)


def candidate_request(count: int, shown: int) -> dict[str, np.ndarray]:
    return {
        "user_embedding": np.full((count, 128), count, np.float32),
        "seen_rows": np.full((count, shown), count, np.int64),
        "viewer_region": np.zeros((count, 1), np.int32),
        "viewer_age": np.zeros((count, 1), np.int32),
        "state_flags": np.zeros((count, 1), np.int32),
        "encoder_release": np.ones((count, 1), np.int64),
        "user_features": np.zeros((count, 40), np.float32),
        "context_features": np.zeros((count, 20), np.float32),
        "request_time": np.zeros((count, 1), np.int64),
    }


def test_stacked_requests_are_padded_to_the_widest_and_split_again():
    requests = [candidate_request(1, 3), candidate_request(2, 1)]
    stacked = stack(CANDIDATES, requests)
    assert stacked["seen_rows"].tolist() == [[1, 1, 1], [2, -1, -1], [2, -1, -1]]
    outputs = {spec.name: np.arange(3)[:, None] for spec in CANDIDATES.makes}
    outputs["feature_matrix"] = np.arange(1500)[:, None]
    first, second = split(CANDIDATES, outputs, requests)
    assert first["similarity"].tolist() == [[0]]
    assert second["similarity"].tolist() == [[1], [2]]
    assert first["feature_matrix"][:, 0].tolist() == [*range(500)]
    assert second["feature_matrix"][:, 0].tolist() == [*range(500, 1500)]


def test_tensors_that_travel_together_come_out_as_they_went_in():
    report = {
        "search_funnel": np.arange(12, dtype=np.int32).reshape(2, 6),
        "search_flags": np.array([[7], [8]], np.int32),
    }
    sent = together(SEARCH_REPORT, report)
    assert sent.tolist() == [[0, 1, 2, 3, 4, 5, 7], [6, 7, 8, 9, 10, 11, 8]]
    back = apart(SEARCH_REPORT, sent)
    assert {name: (a.dtype, a.tolist()) for name, a in back.items()} == {
        name: (a.dtype, a.tolist()) for name, a in report.items()
    }


def test_a_stage_gets_what_travelled_together_one_by_one_and_a_wrong_width_is_named():
    moment = 4_102_444_800  # beyond 32 bits
    users = {"user_vectors": np.zeros((1, 188), np.float32), "seen_rows": np.array([[-1]])}
    taken = check_inputs(CANDIDATES, users | {"viewer": np.array([[moment, -2, 40, 3, 9]])})
    assert list(taken) == [spec.name for spec in CANDIDATES.takes]
    assert [taken[spec.name].tolist() for spec in VIEWER.parts] == [[[moment]], [[-2]], [[40]], [[3]], [[9]]]
    assert taken["context_features"].shape == (1, 20)
    with pytest.raises(InvalidInput, match=r"candidates: input 'viewer': expected shape \[1, 5\], got shape \[1, 4\]"):
        check_inputs(CANDIDATES, users | {"viewer": np.zeros((1, 4), np.int64)})
