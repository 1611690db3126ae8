"""What happened to one request on its way through the steps."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trident.contract import FUNNEL, NO_ITEM
from trident.explain.contributions import Contribution, contributions
from trident.explain.drops import drops
from trident.pipeline import Pipeline
from trident.requests import Tensors
from trident.rules.answer import RuleSet
from trident.rules.freshness import freshness
from trident.safety import Safety
from trident.state.store import UserState

CONTRIBUTIONS = 5  # per item


@dataclass(frozen=True)
class Step:
    """One step of the funnel: how many items are left after it, and how many it dropped, by reason."""

    name: str
    left: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class ExplainedItem:
    """One item of the answer; ranks and positions count from 1."""

    position: int
    item_id: str
    title: str
    category: str
    similarity: float  # of the embeddings
    retrieved: int  # rank by similarity
    probability: float  # the ranker's
    ranked: int  # rank by probability
    freshness: float  # factor
    boost: float  # factor
    score: float  # probability × boost × freshness, in float32
    moved: int  # places that the rules moved it up, negative for down
    contributions: tuple[Contribution, ...]


@dataclass(frozen=True)
class Journey:
    """One request and its answer."""

    user: str
    release: int
    timestamp: int
    region: str
    age: int  # years, -1 unknown
    state: Mapping[str, Any]  # what Redis held
    degraded: tuple[str, ...]
    steps: tuple[Step, ...]
    milliseconds: Mapping[str, float]  # per model, in this process
    items: tuple[ExplainedItem, ...]

    def as_dict(self) -> dict[str, Any]:
        """The journey as JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True)
class Trip:
    """A request that was run, with every tensor between the steps; the journey and `why_not` read from it."""

    pipeline: Pipeline
    user: str
    state: UserState
    tensors: Tensors
    milliseconds: Mapping[str, float]

    @property
    def now(self) -> int:
        """The time of the request, unix seconds."""
        return int(self.tensors["request_time"][0, 0])

    @property
    def safety(self) -> Safety:
        """The filters of the search."""
        return self.pipeline.candidates.safety

    @property
    def rules(self) -> RuleSet:
        """The rules of the release."""
        return self.pipeline.business_rules.rules

    @property
    def viewer(self) -> tuple[int, int]:
        """Region code and age of who asks, as the filters take them."""
        return int(self.tensors["viewer_region"][0, 0]), int(self.tensors["viewer_age"][0, 0])

    @property
    def answered(self) -> np.ndarray:
        """Rows of the answer's items, best first: (l,) int64."""
        ids = self.tensors["item_id"][0]
        return self.pipeline.release.items.rows(ids[ids != b""].tolist())


def travel(pipeline: Pipeline, inputs: Mapping[str, np.ndarray]) -> Trip:
    """Run the request of one user and keep everything; nothing is remembered as shown.

    It runs twice, as the first run opens files and compiles, and the times are those of the second.
    """
    asked = {**inputs, "record": np.array([[False]])}
    pipeline.trace(**asked)
    milliseconds: dict[str, float] = {}
    tensors: Tensors = {}
    began = time.perf_counter()
    for name, tensors in pipeline.walk(**asked):  # noqa: B007  the last ones are kept
        ended = time.perf_counter()
        milliseconds[name] = round(1000 * (ended - began), 3)
        began = time.perf_counter()
    user, now = inputs["user_id"][0, 0].decode(), int(tensors["request_time"][0, 0])
    encoder = pipeline.user_encoder
    state = encoder.store.read([user], [now], encoder.rules.window)[0]
    return Trip(pipeline, user, state, tensors, milliseconds)


def journey(trip: Trip, booster: Any) -> Journey:
    """Put a trip into words and numbers; `booster` is the LightGBM forest of the release."""
    tensors, release = trip.tensors, trip.pipeline.release
    region, age = trip.viewer
    regions = release.vocabulary.regions
    return Journey(
        user=trip.user,
        release=int(tensors["release"][0, 0]),
        timestamp=trip.now,
        region=regions[region] if region >= 0 else "",
        age=age,
        state=state_facts(trip.state),
        degraded=tuple(filter(None, tensors["degraded"][0, 0].decode().split(","))),
        steps=tuple(
            Step(name, int(left), dropped)
            for name, left, dropped in zip(FUNNEL, tensors["funnel"][0], drops(trip), strict=True)
        ),
        milliseconds=trip.milliseconds,
        items=_items(trip, booster),
    )


def state_facts(state: UserState) -> dict[str, Any]:
    """What Redis held of the user."""
    embedding = "refused" if state.embedding_refused else "none" if state.embedding is None else "cached"
    return {
        "embedding": embedding,
        "row_as_of": state.row.as_of if state.row else None,
        "history": len(state.history),
        "consumed": len(state.consumed),
        "shown": len(state.shown),
    }


def _items(trip: Trip, booster: Any) -> tuple[ExplainedItem, ...]:
    tensors, items, rules = trip.tensors, trip.pipeline.release.items, trip.rules
    rows, answered = tensors["candidate_rows"][0], trip.answered
    probability = tensors["click_probability"].reshape(-1)
    places = [int(np.flatnonzero(rows == row)[0]) for row in answered]
    ranked = ranks(probability, rows)
    fresh = freshness(items.published_at[answered], trip.now, rules.rules)
    boost = rules.boost(answered, trip.now)
    shap = contributions(booster, tensors["feature_matrix"][places], CONTRIBUTIONS) if places else []
    return tuple(
        ExplainedItem(
            position=i + 1,
            item_id=items.ids[row].decode(),
            title=items.title(row),
            category=items.category_name(row),
            similarity=float(tensors["similarity"][0, place]),
            retrieved=place + 1,
            probability=float(probability[place]),
            ranked=int(ranked[place]),
            freshness=float(fresh[i]),
            boost=float(boost[i]),
            score=float(tensors["score"][0, i]),
            moved=int(ranked[place]) - (i + 1),
            contributions=shap[i],
        )
        for i, (row, place) in enumerate(zip(answered.tolist(), places, strict=True))
    )


def ranks(scores: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Ranks by score from 1, equal ones by row, -1 pads and NaN last: (K,) int64."""
    keys = np.where((rows != NO_ITEM) & np.isfinite(scores), -scores, np.inf)
    ranked = np.empty(len(rows), np.int64)
    ranked[np.lexsort((rows, keys))] = np.arange(1, len(rows) + 1)
    return ranked
