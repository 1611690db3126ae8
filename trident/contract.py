"""The tensors of every model, stated once.

From this page come the `config.pbtxt` files, the validation in the server, the requests of the client and the tests.
It imports nothing heavier than numpy, so that the client can use it.

Named dims: B users per request, K candidates per user, D embedding, U/I/C/X feature groups, F = U+I+C+X features,
R = B·K rows for the forest, S items shown lately (varies), L items answered (the largest `limit` of the request),
N = steps of the funnel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np

from trident.errors import InvalidInput

CANDIDATES_PER_USER = 500
EMBEDDING_DIM = 128
USER_FEATURES, ITEM_FEATURES, CONTEXT_FEATURES, CROSS_FEATURES = 40, 40, 20, 20
MAX_USERS = 64
"""Users per request at most: 64 · K rows are what the ranker takes in one batch."""
FEATURES = USER_FEATURES + ITEM_FEATURES + CONTEXT_FEATURES + CROSS_FEATURES
DEVICES = ("mobile", "desktop", "tablet", "tv")
EVENT_TYPES = ("view", "click", "like", "add", "share", "purchase")
"""What a user can do with an item, in the order in which it happens: a view is an impression, the rest follow it."""

MAX_DURATION = 86_400  # seconds
DEFAULT_LIMIT, MAX_LIMIT = 20, 50
NO_ITEM = -1
UNKNOWN_REGION, UNLISTED_REGION = -1, -2

FUNNEL = (
    "catalogue",  # items in the release
    "in_stock",
    "region_allowed",
    "safe",  # not flagged, no older viewer needed, and not on a safety list of the rules
    "not_seen_lately",  # neither shown in the last 7 days nor among the last 50 clicked or bought
    "candidates",  # what it returned, at most K
    "scored",  # with a finite score from the forest
    "considered",  # the best 50, or 2.5 × limit, or all where those do not fill the answer
    "rules_passed",  # of those, after safety and dedup are checked again
    "diverse",  # of those, within the cap per category, or as many as were needed where it had to be relaxed
    "returned",
)
"""Steps of the output `funnel`, in order; each count is the number of items left after that step."""

SEARCH_FUNNEL = FUNNEL[:6]
"""The steps that `candidates` counts; `business_rules` adds the rest."""

DEGRADED = (
    "embedding_recomputed",
    "live_updates_stale",
    "dedup_unavailable",
    "user_state_unavailable",
    "cold_start",
    "popular_fallback",
)
"""Reasons of the output `degraded`, mildest first. Between models they travel as bits: 1 << index."""

DIMS: Mapping[str, int] = MappingProxyType(
    {
        "K": CANDIDATES_PER_USER,
        "D": EMBEDDING_DIM,
        "U": USER_FEATURES,
        "I": ITEM_FEATURES,
        "C": CONTEXT_FEATURES,
        "X": CROSS_FEATURES,
        "F": FEATURES,
        "N": len(FUNNEL),
        "M": len(SEARCH_FUNNEL),
    }
)

NUMPY_DTYPES: Mapping[str, type] = MappingProxyType(
    {"BYTES": np.object_, "BOOL": np.bool_, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
)


@dataclass(frozen=True)
class Text:
    """A value rule: UTF-8 text of `least` to `most` bytes without control characters, optionally matching `pattern`."""

    least: int
    most: int
    pattern: str = ""
    meaning: str = ""

    def expected(self) -> str:
        """Say in words what is allowed."""
        return self.meaning or f"{self.least} to {self.most} bytes of UTF-8 without control characters"

    def problem(self, value: bytes) -> str | None:
        """Return what is wrong with one value, or None."""
        if not self.least <= len(value) <= self.most:
            return f"{len(value)} bytes"
        try:
            text = value.decode("utf-8")
        except UnicodeDecodeError:
            return "bytes that are not UTF-8"
        if _CONTROL.search(text):
            return "a control character"
        if self.pattern and not re.fullmatch(self.pattern, text):
            return repr(text)
        return None


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Range:
    """A value rule: whole numbers from `least` to `most`."""

    least: int
    most: int

    def expected(self) -> str:
        """Say in words what is allowed."""
        return f"{self.least} to {self.most}"

    def problem(self, value: int) -> str | None:
        """Return what is wrong with one value, or None."""
        return None if self.least <= value <= self.most else str(value)


@dataclass(frozen=True)
class Real:
    """A value rule: numbers from `least` to `most`, or NaN for unknown."""

    least: float
    most: float

    def expected(self) -> str:
        """Say in words what is allowed."""
        return f"{self.least:g} to {self.most:g}, or NaN"

    def problem(self, value: float) -> str | None:
        """Return what is wrong with one value, or None."""
        return None if value != value or self.least <= value <= self.most else f"{value:g}"


@dataclass(frozen=True)
class TensorSpec:
    """One tensor: its name for life, Triton dtype, named dims, and the rule that each value must keep.

    `optional` is what Triton is told; what it leaves out gets `default`, or is refused where that is None.
    """

    name: str
    dtype: str
    dims: tuple[str | int, ...]
    doc: str = ""
    optional: bool = False
    default: object = None
    rule: Text | Range | Real | None = None
    parts: tuple[TensorSpec, ...] = ()  # tensors (B, n) that travel as the columns of this one

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Dims for a config: known named dims as numbers, the others as -1."""
        return tuple(d if isinstance(d, int) else DIMS.get(d, -1) for d in self.dims)

    @cached_property
    def numpy_dtype(self) -> type:
        """The numpy dtype; BYTES are object arrays of `bytes`."""
        return NUMPY_DTYPES[self.dtype]

    def check(self, array: np.ndarray, model: str, rows: int | None = None) -> None:
        """Raise InvalidInput unless `array` has this dtype, these dims and legal values.

        `rows` is the length that axis 0 must have, when it is known.
        """
        expected = self.shape if rows is None else (rows, *self.shape[1:])
        if (array.shape != expected and not _fits(array.shape, expected)) or not len(array):
            raise invalid(model, self.name, f"shape {list(expected)}", f"shape {list(array.shape)}")
        if len(array) > MAX_USERS and self.dims[0] == "B":
            raise invalid(model, self.name, f"1 to {MAX_USERS} users", f"{array.shape[0]} users")
        if array.dtype.type is not self.numpy_dtype:
            raise invalid(model, self.name, f"dtype {self.dtype}", f"dtype {array.dtype}")
        if self.rule is not None:
            for value in array.ravel().tolist():
                problem = self.rule.problem(value)
                if problem is not None:
                    raise invalid(model, self.name, self.rule.expected(), problem)


def _together(name: str, dtype: str, doc: str, *parts: TensorSpec) -> TensorSpec:
    """One tensor between two steps for several, as each of them costs its way, whatever it holds."""
    return TensorSpec(name, dtype, ("B", sum(part.shape[1] for part in parts)), doc, parts=parts)


def _fits(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    """Whether a shape is the expected one, where -1 stands for any length."""
    return len(shape) == len(expected) and all(e in (-1, s) for e, s in zip(expected, shape, strict=True))


def invalid(model: str, tensor: str, expected: str, got: str) -> InvalidInput:
    """Build the one error text for bad input."""
    return InvalidInput(f"{model}: input '{tensor}': expected {expected}, got {got}")


@dataclass(frozen=True)
class ModelContract:
    """One Triton model: backend, tensors and what of a release lies in its version folder.

    `files` maps a path in the version folder to a path in the release; a path that ends in "/" is a whole folder.
    """

    name: str
    backend: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int = 0
    instances: int = 1
    admits: bool = False  # begins a request, and refuses it where too many are under way
    ends: bool = False  # answers a request
    merge: bool = True  # several requests may be stacked for one run of the stage
    named: bool = False  # the stage also gets `request_id` (B,) str, the id that Triton's protocol gives a request
    parameters: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def takes(self) -> tuple[TensorSpec, ...]:
        """The tensors that the stage gets: the inputs, one by one where they travel together."""
        return _apart(self.inputs)

    @cached_property
    def makes(self) -> tuple[TensorSpec, ...]:
        """The tensors that the stage gives: the outputs, one by one where they travel together."""
        return _apart(self.outputs)

    def input(self, name: str) -> TensorSpec:
        """The input called `name`."""
        return next(t for t in self.inputs if t.name == name)

    def output(self, name: str) -> TensorSpec:
        """The output called `name`."""
        return next(t for t in self.outputs if t.name == name)


def _apart(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    return tuple(part for spec in specs for part in spec.parts or (spec,))


# --- the public inputs ---------------------------------------------------------------------------------------------
# `user_id` is required, but optional for Triton: to an ensemble that lacks an input it says "unexpected deadlock",
# while `user_encoder`, which gets every public input for that, says what is missing.
ID = Text(1, 128)
USER_ID = TensorSpec("user_id", "BYTES", ("B", 1), "who asks; required", optional=True, rule=ID)
DEVICE = TensorSpec(
    "device", "BYTES", ("B", 1), "mobile, desktop, tablet or tv; empty when unknown", optional=True, default=b"",
    rule=Text(0, 16, "|".join(("", *DEVICES)), f"one of {', '.join(DEVICES)}, or empty"),
)  # fmt: skip
REGION = TensorSpec(
    "region", "BYTES", ("B", 1), "ISO 3166 country code; empty for the user's home region", optional=True, default=b"",
    rule=Text(0, 2, "([A-Z]{2})?", "a two-letter ISO 3166 country code in capitals, or empty"),
)  # fmt: skip
TIMESTAMP = TensorSpec(
    "timestamp", "INT64", ("B", 1), "unix seconds; 0 for now", optional=True, default=0, rule=Range(0, 4_102_444_800)
)
LIMIT = TensorSpec(
    "limit", "INT32", ("B", 1), "items wanted", optional=True, default=DEFAULT_LIMIT, rule=Range(1, MAX_LIMIT)
)
RECORD = TensorSpec("record", "BOOL", ("B", 1), "remember the answer as shown", optional=True, default=True)

# --- the further inputs of `feedback` ------------------------------------------------------------------------------
EVENT_ITEM = TensorSpec("item_id", "BYTES", ("B", 1), "with what; required", optional=True, rule=ID)
EVENT_TYPE = TensorSpec(
    "event_type", "BYTES", ("B", 1), f"one of {', '.join(EVENT_TYPES)}; required", optional=True,
    rule=Text(1, 16, "|".join(EVENT_TYPES), f"one of {', '.join(EVENT_TYPES)}"),
)  # fmt: skip
DURATION = TensorSpec(
    "duration_seconds", "FP32", ("B", 1), "how long the item was looked at; NaN when not measured", optional=True,
    default=np.nan, rule=Real(0, MAX_DURATION),
)  # fmt: skip

# --- the public outputs --------------------------------------------------------------------------------------------
ITEM_ID = TensorSpec("item_id", "BYTES", ("B", "L"), 'best first, "" pads')
SCORE = TensorSpec("score", "FP32", ("B", "L"), "predicted click probability after the freshness boost, NaN pads")
RELEASE = TensorSpec("release", "INT64", ("B", 1), "the release that answered")
FUNNEL_COUNTS = TensorSpec("funnel", "INT32", ("B", "N"), "items left after each step of FUNNEL")
DEGRADED_REASONS = TensorSpec("degraded", "BYTES", ("B", 1), '"" or comma-separated reasons of DEGRADED')
EXPERIMENT = TensorSpec("experiment", "BYTES", ("B", 1), 'the experiment that runs, "" for none')
CANARY_SHARE = TensorSpec("canary_share", "FP32", ("B", 1), "share of the users that its canary answers, 0 to 1")
ENTRY_ID = TensorSpec("entry_id", "BYTES", ("B", 1), "the entry of the stream under which the event is kept")

# --- between the models --------------------------------------------------------------------------------------------
USER_EMBEDDING = TensorSpec("user_embedding", "FP32", ("B", "D"), "unit length")
USER_ROW = TensorSpec("user_features", "FP32", ("B", "U"), "as of the request's time")
CONTEXT_ROW = TensorSpec("context_features", "FP32", ("B", "C"), "from time, device and region")
REQUEST_TIME = TensorSpec("request_time", "INT64", ("B", 1), "unix seconds, resolved")
VIEWER_REGION = TensorSpec(
    "viewer_region", "INT32", ("B", 1), "code in the release's region list, -1 unknown, -2 known but not in the list"
)
VIEWER_AGE = TensorSpec("viewer_age", "INT32", ("B", 1), "years, -1 unknown")
SEEN_ROWS = TensorSpec("seen_rows", "INT64", ("B", "S"), "item rows not to show again, -1 pads")
ENCODER_RELEASE = TensorSpec("encoder_release", "INT64", ("B", 1), "the release that began the request")
TICKET = TensorSpec("ticket", "INT64", ("B", 1), "under which the request was admitted, 0 where nobody counts")
STATE_FLAGS = TensorSpec("state_flags", "INT32", ("B", 1), "bits of DEGRADED from the user's state")
CANDIDATE_ROWS = TensorSpec("candidate_rows", "INT64", ("B", "K"), "item rows, nearest first, -1 pads")
SIMILARITY = TensorSpec("similarity", "FP32", ("B", "K"), "inner product of the embeddings, NaN pads")
SEARCH_FUNNEL_COUNTS = TensorSpec("search_funnel", "INT32", ("B", "M"), "items left after each step of SEARCH_FUNNEL")
SEARCH_FLAGS = TensorSpec("search_flags", "INT32", ("B", 1), "bits of DEGRADED from the search")
FEATURE_MATRIX = TensorSpec("feature_matrix", "FP32", ("R", "F"), "a row per candidate: user, item, context, cross")
FEATURE_SAMPLE = TensorSpec(
    "feature_sample", "FP32", ("B", "W"), "feature rows of all candidates, one after another, where sampled, else NaN"
)
CLICK_PROBABILITY = TensorSpec("click_probability", "FP32", ("R", 1), "the forest's answer per row")
VIEWER = _together(
    "viewer", "INT64", "who asks, where, when, and which release began: request_time, viewer_region, viewer_age, "
    "state_flags, encoder_release", REQUEST_TIME, VIEWER_REGION, VIEWER_AGE, STATE_FLAGS, ENCODER_RELEASE,
)  # fmt: skip
USER_VECTORS = _together(
    "user_vectors", "FP32", "user_embedding, user_features, context_features", USER_EMBEDDING, USER_ROW, CONTEXT_ROW
)
SEARCH_REPORT = _together("search_report", "INT32", "search_funnel, search_flags", SEARCH_FUNNEL_COUNTS, SEARCH_FLAGS)
TASTE = TensorSpec("taste", "FP32", ("B", "D"), "mean vector of the items the user clicked or bought last, 0 when none")

_ITEMS = {"manifest.json": "manifest.json", "items/": "items/"}

RECOMMEND = ModelContract(
    "recommend",
    "ensemble",
    inputs=(USER_ID, DEVICE, REGION, TIMESTAMP, LIMIT, RECORD),
    outputs=(ITEM_ID, SCORE, RELEASE, FUNNEL_COUNTS, DEGRADED_REASONS),
)
USER_ENCODER = ModelContract(
    "user_encoder",
    "python",
    inputs=(USER_ID, DEVICE, REGION, TIMESTAMP, LIMIT, RECORD),
    outputs=(USER_VECTORS, SEEN_ROWS, VIEWER, TICKET),
    admits=True,
    named=True,
    files=_ITEMS | {"users/": "users/", "rules.toml": "rules.toml"},
)
USER_TOWER = ModelContract(
    "user_tower",
    "onnxruntime",
    inputs=(USER_ROW, TASTE),
    outputs=(USER_EMBEDDING,),
    max_batch_size=64,
    files={"model.onnx": "user_tower/model.onnx"},
)
CANDIDATES = ModelContract(
    "candidates",
    "python",
    inputs=(USER_VECTORS, SEEN_ROWS, VIEWER),
    outputs=(CANDIDATE_ROWS, SIMILARITY, SEARCH_REPORT, FEATURE_MATRIX, FEATURE_SAMPLE),
    files=_ITEMS | {"index.faiss": "index.faiss", "rules.toml": "rules.toml"},
)
RANKER = ModelContract(
    "ranker",
    "fil",
    inputs=(TensorSpec("input__0", "FP32", ("R", "F"), FEATURE_MATRIX.doc),),
    outputs=(TensorSpec("output__0", "FP32", ("R", 1), CLICK_PROBABILITY.doc),),
    max_batch_size=32768,
    parameters={
        "model_type": "treelite_checkpoint",
        "predict_proba": "false",
        "output_class": "false",
        "threshold": "0.5",
        "storage_type": "AUTO",
        "algo": "ALGO_AUTO",
        "blocks_per_sm": "0",
    },
    files={"checkpoint.tl": "ranker/checkpoint.tl", "model.txt": "ranker/model.txt"},  # the second explains scores
)
BUSINESS_RULES = ModelContract(
    "business_rules",
    "python",
    inputs=(
        USER_ID, DEVICE, REGION, LIMIT, RECORD, CANDIDATE_ROWS, CLICK_PROBABILITY, VIEWER, SEEN_ROWS, FEATURE_SAMPLE,
        SEARCH_REPORT, TICKET,
    ),
    outputs=(ITEM_ID, SCORE, RELEASE, FUNNEL_COUNTS, DEGRADED_REASONS),
    merge=False,  # the width of an answer is the largest limit of its own request
    ends=True,
    named=True,
    files=_ITEMS | {"rules.toml": "rules.toml"},
)  # fmt: skip

FEEDBACK = ModelContract(
    "feedback",
    "python",
    inputs=(USER_ID, EVENT_ITEM, EVENT_TYPE, TIMESTAMP, DEVICE, REGION, DURATION),
    outputs=(ENTRY_ID,),
    files={"manifest.json": "manifest.json", "rules.toml": "rules.toml"},
)

RECOMMEND_CANARY = replace(RECOMMEND, name="recommend_canary")
"""The second ensemble, which pins another release; it is in a repository only while a canary runs."""

RECOMMEND_AB = ModelContract(
    "recommend_ab", "python", inputs=RECOMMEND.inputs, outputs=(*RECOMMEND.outputs, EXPERIMENT, CANARY_SHARE)
)
"""The router between the two, of no release: its only version is ROUTER_VERSION."""

ROUTER_VERSION = 1

STEPS = (USER_ENCODER, CANDIDATES, RANKER, BUSINESS_RULES)
"""The steps of the ensemble, in order."""

LEAVES = (USER_TOWER, *STEPS, FEEDBACK)
"""Every model but the ensemble, in the order in which they are loaded."""

MODELS = (*LEAVES, RECOMMEND)
"""The models of a release: each has a version folder per release."""

COMMITTED = (*MODELS, RECOMMEND_AB)
"""Every model whose config lies in the sources."""

RENAMED = MappingProxyType({"input__0": FEATURE_MATRIX.name, "output__0": CLICK_PROBABILITY.name})
"""FIL's fixed tensor names → the names they have in the ensemble; every other tensor keeps its own."""


def degraded_text(flags: int) -> bytes:
    """Turn the bits of `state_flags` or `search_flags` into the public text: b"" or comma-separated reasons."""
    return ",".join(reason for i, reason in enumerate(DEGRADED) if flags >> i & 1).encode()


def degraded_bit(reason: str) -> int:
    """The bit of one reason of DEGRADED."""
    return 1 << DEGRADED.index(reason)
