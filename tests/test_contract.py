import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trident import contract
from trident.contract import (
    DEVICE,
    DURATION,
    EVENT_TYPE,
    LIMIT,
    REGION,
    TIMESTAMP,
    USER_ID,
    TensorSpec,
    degraded_bit,
    degraded_text,
)
from trident.errors import InvalidInput


def bytes_array(*values: bytes) -> np.ndarray:
    return np.array([[v] for v in values], np.object_)


@pytest.mark.parametrize(
    ("spec", "array", "expected", "got"),
    [
        (USER_ID, bytes_array(b""), "1 to 128 bytes", "0 bytes"),
        (USER_ID, bytes_array(b"x" * 10_000), "1 to 128 bytes", "10000 bytes"),
        (USER_ID, bytes_array(b"\xff\xfe"), "UTF-8", "bytes that are not UTF-8"),
        (USER_ID, bytes_array(b"a\nb"), "without control characters", "a control character"),
        (USER_ID, np.array([b"u1"], np.object_), "shape [-1, 1]", "shape [1]"),
        (USER_ID, np.zeros((0, 1), np.object_), "shape [-1, 1]", "shape [0, 1]"),
        (USER_ID, bytes_array(*[b"u"] * 65), "1 to 64 users", "65 users"),
        (USER_ID, np.array([[1]]), "dtype BYTES", "dtype int64"),
        (REGION, bytes_array(b"x" * 50), "two-letter", "50 bytes"),
        (REGION, bytes_array(b"us"), "two-letter", "'us'"),
        (DEVICE, bytes_array(b"fridge"), "one of mobile, desktop, tablet, tv", "'fridge'"),
        (LIMIT, np.array([[0]], np.int32), "1 to 50", "0"),
        (LIMIT, np.array([[1000]], np.int32), "1 to 50", "1000"),
        (TIMESTAMP, np.array([[-1]]), "0 to", "-1"),
        (EVENT_TYPE, bytes_array(b"stare"), "one of view, click, like, add, share, purchase", "'stare'"),
        (EVENT_TYPE, bytes_array(b""), "one of view, click", "0 bytes"),
        (DURATION, np.array([[-1]], np.float32), "0 to 86400, or NaN", "-1"),
        (DURATION, np.array([[np.inf]], np.float32), "0 to 86400, or NaN", "inf"),
    ],
)
def test_an_error_names_model_tensor_expected_and_got(spec, array, expected, got):
    with pytest.raises(InvalidInput) as caught:
        spec.check(array, "recommend")
    text = str(caught.value)
    assert text.startswith(f"recommend: input '{spec.name}': expected ")
    assert expected in text.split(", got ")[0]
    assert text.endswith(f"got {got}")


@pytest.mark.parametrize(
    ("spec", "array"),
    [
        (USER_ID, bytes_array(b"u", b"x" * 128, "é".encode())),
        (REGION, bytes_array(b"", b"DE")),
        (DEVICE, bytes_array(b"", b"tv")),
        (LIMIT, np.array([[1], [50]], np.int32)),
        (DURATION, np.array([[0], [86_400], [np.nan]], np.float32)),
    ],
)
def test_legal_values_pass(spec, array):
    spec.check(array, "recommend", rows=len(array))


@given(st.binary(max_size=200))
def test_an_id_passes_exactly_when_it_is_short_clean_text(value):
    try:
        text = value.decode()
        legal = 1 <= len(value) <= 128 and not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in text)
    except UnicodeDecodeError:
        legal = False
    assert (USER_ID.rule.problem(value) is None) == legal


def test_reasons_are_listed_mildest_first():
    flags = degraded_bit("cold_start") | degraded_bit("dedup_unavailable")
    assert degraded_text(flags) == b"dedup_unavailable,cold_start"
    assert degraded_text(0) == b""


def test_a_tensor_keeps_one_meaning_in_all_models():
    seen: dict[str, TensorSpec] = {}
    for model in contract.MODELS:
        for spec in (*model.inputs, *model.outputs):
            if spec != contract.EVENT_ITEM:  # the one item of an event, beside the list of an answer
                assert seen.setdefault(spec.name, spec) == spec
    assert contract.EVENT_ITEM.dtype == seen["item_id"].dtype


def test_the_contract_needs_nothing_heavier_than_numpy():
    code = "import sys, trident.contract; print(sorted({m.split('.')[0] for m in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    for heavy in ("tritonclient", "google", "faiss", "redis", "torch", "onnxruntime", "pandas"):
        assert f"'{heavy}'" not in loaded
