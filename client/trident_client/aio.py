"""The recommenders for asyncio, over gRPC and over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from trident_client.base import DEADLINE_S, RecommenderBase, Values
from trident_client.codec import Output, Tensors, decode
from trident_client.replicas import Replicas, addresses
from trident_client.results import Recommendation

R = TypeVar("R", bound="_Async")


class AsyncTransport(Protocol):
    """One replica."""

    async def infer(self, tensors: Tensors, seconds: float) -> Output:
        """Ask `recommend`."""

    async def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready."""

    async def close(self) -> None:
        """Let go of connections."""


class _Async(RecommenderBase[AsyncTransport]):
    async def recommend(
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
        """Ask for the items of one user; see Recommender.recommend."""
        answers = await self.recommend_many(
            [user_id], device=device, region=region, timestamp=timestamp, limit=limit, record=record, deadline=deadline
        )
        return answers[0]

    async def recommend_many(
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
        """Ask for the items of B users in one request; see Recommender.recommend_many."""
        call = self._call(
            user_ids, deadline, device=device, region=region, timestamp=timestamp, limit=limit, record=record
        )
        attempts = self._replicas.attempts(call.deadline)
        for replica, transport, seconds in attempts:
            with attempts.trying(replica):
                return decode(await transport.infer(call.tensors, seconds), call.users)
        return self._instead(call, attempts.error)

    async def ready(self) -> bool:
        """Say whether a replica is ready to answer; never raises."""
        for _, transport, seconds in self._replicas.attempts(self._deadline):
            if await transport.ready(seconds):
                return True
        return False

    async def close(self) -> None:
        """Close all connections; safe to call twice."""
        self._closed = True
        for transport in self._replicas:
            await transport.close()

    async def __aenter__(self: R) -> R:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class AsyncRecommender(_Async):
    """Asks Trident over gRPC from one event loop; see Recommender for the arguments."""

    def __init__(
        self, urls: str | Sequence[str], *, deadline: float = DEADLINE_S, fallback: Sequence[str] | None = None
    ) -> None:
        from trident_client.grpc_transport import AsyncGrpcTransport

        super().__init__(Replicas([AsyncGrpcTransport(url) for url in addresses(urls)]), deadline, fallback)


class AsyncHttpRecommender(_Async):
    """Asks Trident over HTTP from one event loop; see Recommender for the arguments."""

    def __init__(
        self, urls: str | Sequence[str], *, deadline: float = DEADLINE_S, fallback: Sequence[str] | None = None
    ) -> None:
        from trident_client.http_transport import AsyncHttpTransport

        super().__init__(Replicas([AsyncHttpTransport(url) for url in addresses(urls)]), deadline, fallback)
