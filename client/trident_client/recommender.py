"""The blocking recommenders, over gRPC and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol, TypeVar

from trident.contract import FEEDBACK, RECOMMEND_AB
from trident_client.arms import REFRESH_S, SAID, left
from trident_client.base import DEADLINE_S, Call, RecommenderBase, Values, new_id
from trident_client.codec import Output, Outputs, Tensors, decode, decode_entries
from trident_client.errors import InvalidRequest, RecommenderError
from trident_client.events import Event
from trident_client.replicas import Replicas, addresses
from trident_client.results import Recommendation

R = TypeVar("R", bound="_Blocking")
T = TypeVar("T")


class Transport(Protocol):
    """One replica."""

    def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; `request` is the request's id, the same in every attempt."""

    def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready."""

    def close(self) -> None:
        """Let go of connections."""


class _Blocking(RecommenderBase[Transport]):
    def recommend(
        self,
        user_id: str,
        *,
        device: str | None = None,
        region: str | None = None,
        timestamp: int | None = None,
        limit: int | None = None,
        record: bool | None = None,
        deadline: float | None = None,
        request_id: str | None = None,
    ) -> Recommendation:
        """Ask for the items of one user.

        `device` is mobile, desktop, tablet or tv, `region` a two-letter country code (default: the user's home),
        `timestamp` unix seconds (default: now), `limit` 1 to 50 items (default 20); `record=False` keeps the answer
        from counting as shown. `deadline` is in seconds and covers all attempts. Within two minutes the same user and
        `request_id` get the same items again instead of the next ones; every attempt of a call has the same id, by
        default a new one.

        Raises InvalidRequest, DeadlineExceeded, Unreachable or ServerError; with a fallback list only InvalidRequest.
        """
        answers = self.recommend_many(
            [user_id], device=device, region=region, timestamp=timestamp, limit=limit, record=record,
            deadline=deadline, request_id=request_id,
        )  # fmt: skip
        return answers[0]

    def recommend_many(
        self,
        user_ids: Sequence[str],
        *,
        device: Values[str] = None,
        region: Values[str] = None,
        timestamp: Values[int] = None,
        limit: Values[int] = None,
        record: Values[bool] = None,
        deadline: float | None = None,
        request_id: str | None = None,
    ) -> list[Recommendation]:
        """Ask for the items of B users in one request; each option is one value for all or a list with one per user."""
        call = self._call(
            user_ids, deadline, request_id,
            device=device, region=region, timestamp=timestamp, limit=limit, record=record,
        )  # fmt: skip
        try:
            return self._send(partial(self._recommended, call), call.deadline)
        except InvalidRequest:
            raise
        except RecommenderError as error:
            return self._instead(call, error)

    def feedback(
        self,
        user_id: str,
        item_id: str,
        event_type: str,
        *,
        timestamp: int | None = None,
        device: str | None = None,
        region: str | None = None,
        duration_seconds: float | None = None,
        deadline: float | None = None,
    ) -> str:
        """Tell what a user did with an item; return the id of the entry under which the event is kept.

        `event_type` is view, click, like, add, share or purchase; a click, like, add or purchase moves the next answer.
        `timestamp` is in unix seconds (default: now), `device` and `region` are as for `recommend`. An event that is
        sent twice with the same timestamp counts once.

        Raises InvalidRequest, DeadlineExceeded, Unreachable or ServerError; then the event may not be kept.
        """
        event = Event(user_id, item_id, event_type, timestamp, device, region, duration_seconds)
        [entry] = self.feedback_many([event], deadline=deadline)
        return entry

    def feedback_many(self, events: Sequence[Event], *, deadline: float | None = None) -> list[str]:
        """Tell many events, 64 in a request; return the ids of their entries.

        After an error send all of them again: those that were kept count once. `deadline` covers the whole call.
        """
        entries: list[str] = []
        for tensors, count, seconds in self._parts(events, deadline):
            entries += self._send(partial(self._told, tensors, count, new_id()), seconds)
        return entries

    def _send(self, ask: Callable[[Transport, float], T], deadline: float) -> T:
        """Ask the replicas in turn until one gives an answer that can be read; raise what the last one said."""
        attempts = self._replicas.attempts(deadline)
        for replica, transport, seconds in attempts:
            with attempts.trying(replica):
                return ask(transport, seconds)
        raise attempts.error

    def _recommended(self, call: Call, transport: Transport, seconds: float) -> list[Recommendation]:
        """Ask the arm of the users on one replica, and `recommend` where that fails; read the experiment when due."""
        end = time.monotonic() + seconds
        if self._arms.due():
            with self._arms.reading():
                said = transport.infer(RECOMMEND_AB.name, [], self._arms.seconds(seconds), new_id(), SAID)
                self._arms.read(said)
        *firsts, last = self._arms.models(call.users)
        for model in firsts:
            with self._arms.trying():
                return decode(transport.infer(model.name, call.tensors, left(end), call.id), call.users)
        return decode(transport.infer(last.name, call.tensors, left(end), call.id), call.users)

    def _told(self, tensors: Tensors, count: int, request: str, transport: Transport, seconds: float) -> list[str]:
        """Tell one replica of `count` events."""
        return decode_entries(transport.infer(FEEDBACK.name, tensors, seconds, request), count)

    def ready(self) -> bool:
        """Say whether a replica is ready to answer; never raises."""
        return any(transport.ready(seconds) for _, transport, seconds in self._replicas.attempts(self._deadline))

    def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._closed = True
        for transport in self._replicas:
            transport.close()

    def __enter__(self: R) -> R:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Recommender(_Blocking):
    """Asks Trident over gRPC: `Recommender("localhost:8001")`; thread-safe.

    `urls` may list several replicas, "a:8001,b:8001" or a list: they are asked in turn, and when one fails the next
    gets what is left of the `deadline` (seconds, of every call). `fallback` are item ids, best first, to answer when no
    replica does. While a canary runs, its users are asked of `recommend_canary`: which share that is is read every
    `canary_refresh` seconds at most, within a call; None never reads it and always asks `recommend`.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        deadline: float = DEADLINE_S,
        fallback: Sequence[str] | None = None,
        canary_refresh: float | None = REFRESH_S,
    ) -> None:
        from trident_client.grpc_transport import GrpcTransport

        transports = [GrpcTransport(url) for url in addresses(urls)]
        super().__init__(Replicas(transports), deadline, fallback, canary_refresh)


class HttpRecommender(_Blocking):
    """Asks Trident over HTTP: `HttpRecommender("localhost:8000")`; thread-safe; see Recommender for the arguments."""

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        deadline: float = DEADLINE_S,
        fallback: Sequence[str] | None = None,
        canary_refresh: float | None = REFRESH_S,
    ) -> None:
        from trident_client.http_transport import HttpTransport

        transports = [HttpTransport(url) for url in addresses(urls)]
        super().__init__(Replicas(transports), deadline, fallback, canary_refresh)
