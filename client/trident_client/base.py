"""What the blocking and the asyncio recommenders share: a call before and after it is on the wire."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from trident.contract import DEFAULT_LIMIT, ID, MAX_USERS
from trident_client.arms import Arms
from trident_client.codec import Tensors, encode, encode_events
from trident_client.errors import InvalidRequest, RecommenderError
from trident_client.events import Event
from trident_client.replicas import Replicas
from trident_client.results import Recommendation, RecommendedItem

DEADLINE_S = 1.0
FALLBACK = "client_fallback"

T = TypeVar("T")
Values: TypeAlias = T | Sequence[T] | None
"""One value for all users, or one per user, or the default."""


@dataclass(frozen=True)
class Call:
    """One request for B users, checked and encoded."""

    users: tuple[str, ...]
    limits: tuple[int, ...]
    tensors: Tensors
    deadline: float
    id: str


class RecommenderBase(Generic[T]):
    """Holds the replicas, the deadline and the fallback list."""

    def __init__(
        self,
        replicas: Replicas[T],
        deadline: float,
        fallback: Sequence[str] | None,
        canary_refresh: float | None = None,
    ) -> None:
        self._replicas = replicas
        self._deadline = _seconds(deadline)
        self._fallback = None if fallback is None else tuple(fallback)
        self._arms = Arms(canary_refresh)
        self._closed = False

    def _call(self, users: Sequence[str], deadline: float | None, request_id: str | None, **options: object) -> Call:
        self._require_open()
        if isinstance(users, str) or not users:
            raise InvalidRequest(f"user_ids: expected a list of at least one user id, got {users!r:.40}")
        tensors = encode(users, options)
        limits = next((array.ravel().tolist() for spec, array in tensors if spec.name == "limit"), None)
        return Call(
            users=tuple(users),
            limits=tuple(limits or [DEFAULT_LIMIT] * len(users)),
            tensors=tensors,
            deadline=self._deadline if deadline is None else _seconds(deadline),
            id=new_id() if request_id is None else _checked_id(request_id),
        )

    def _parts(self, events: Sequence[Event], deadline: float | None) -> Iterator[tuple[Tensors, int, float]]:
        """The requests that bring `events`: tensors, number of events, and seconds left; all are checked first."""
        self._require_open()
        if not isinstance(events, (list, tuple)) or not all(isinstance(event, Event) for event in events):
            raise InvalidRequest(f"events: expected a list of Event, got {events!r:.40}")
        end = time.monotonic() + (self._deadline if deadline is None else _seconds(deadline))
        parts = [events[start : start + MAX_USERS] for start in range(0, len(events), MAX_USERS)]
        for tensors, part in [(encode_events(part), part) for part in parts]:
            yield tensors, len(part), end - time.monotonic()

    def _require_open(self) -> None:
        if self._closed:
            raise RecommenderError("this recommender is closed: make a new one")

    def _instead(self, call: Call, error: RecommenderError) -> list[Recommendation]:
        """Answer from the fallback list, or raise `error` when there is none."""
        if self._fallback is None:
            raise error
        return [
            Recommendation(user, _unscored(self._fallback[:limit]), release=0, funnel={}, degraded=(FALLBACK,))
            for user, limit in zip(call.users, call.limits, strict=True)
        ]


def _unscored(items: Sequence[str]) -> tuple[RecommendedItem, ...]:
    return tuple(RecommendedItem(item, math.nan) for item in items)


def new_id() -> str:
    """An id that no other request has."""
    return uuid.uuid4().hex


def _checked_id(request_id: str) -> str:
    if not isinstance(request_id, str):
        raise InvalidRequest(f"request_id: expected str, got {type(request_id).__name__} {request_id!r:.40}")
    if problem := ID.problem(request_id.encode("utf-8", "surrogatepass")):
        raise InvalidRequest(f"request_id: expected {ID.expected()}, got {problem}")
    return request_id


def _seconds(deadline: float) -> float:
    if not isinstance(deadline, (int, float)) or not 0 < deadline < math.inf:
        raise InvalidRequest(f"deadline: expected seconds above 0, got {deadline!r}")
    return float(deadline)
