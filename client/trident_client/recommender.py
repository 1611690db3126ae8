"""The blocking recommenders, over gRPC and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from trident_client.base import DEADLINE_S, RecommenderBase, Values
from trident_client.codec import Output, Tensors, decode
from trident_client.replicas import Replicas, addresses
from trident_client.results import Recommendation

R = TypeVar("R", bound="_Blocking")


class Transport(Protocol):
    """One replica."""

    def infer(self, tensors: Tensors, seconds: float) -> Output:
        """Ask `recommend`."""

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
    ) -> Recommendation:
        """Ask for the items of one user.

        `device` is mobile, desktop, tablet or tv, `region` a two-letter country code (default: the user's home),
        `timestamp` unix seconds (default: now), `limit` 1 to 50 items (default 20); `record=False` keeps the answer
        from counting as shown. `deadline` is in seconds and covers all attempts.

        Raises InvalidRequest, DeadlineExceeded, Unreachable or ServerError; with a fallback list only InvalidRequest.
        """
        answers = self.recommend_many(
            [user_id], device=device, region=region, timestamp=timestamp, limit=limit, record=record, deadline=deadline
        )
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
    ) -> list[Recommendation]:
        """Ask for the items of B users in one request; each option is one value for all or a list with one per user."""
        call = self._call(
            user_ids, deadline, device=device, region=region, timestamp=timestamp, limit=limit, record=record
        )
        attempts = self._replicas.attempts(call.deadline)
        for replica, transport, seconds in attempts:
            with attempts.trying(replica):
                return decode(transport.infer(call.tensors, seconds), call.users)
        return self._instead(call, attempts.error)

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
    replica does.
    """

    def __init__(
        self, urls: str | Sequence[str], *, deadline: float = DEADLINE_S, fallback: Sequence[str] | None = None
    ) -> None:
        from trident_client.grpc_transport import GrpcTransport

        super().__init__(Replicas([GrpcTransport(url) for url in addresses(urls)]), deadline, fallback)


class HttpRecommender(_Blocking):
    """Asks Trident over HTTP: `HttpRecommender("localhost:8000")`; thread-safe; see Recommender for the arguments."""

    def __init__(
        self, urls: str | Sequence[str], *, deadline: float = DEADLINE_S, fallback: Sequence[str] | None = None
    ) -> None:
        from trident_client.http_transport import HttpTransport

        super().__init__(Replicas([HttpTransport(url) for url in addresses(urls)]), deadline, fallback)
