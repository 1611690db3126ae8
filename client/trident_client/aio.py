"""The recommenders for asyncio, over gRPC and over HTTP."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
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

R = TypeVar("R", bound="_Async")
T = TypeVar("T")


class AsyncTransport(Protocol):
    """One replica."""

    async def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; `request` is the request's id, the same in every attempt."""

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
        request_id: str | None = None,
    ) -> Recommendation:
        """Ask for the items of one user; see Recommender.recommend."""
        answers = await self.recommend_many(
            [user_id], device=device, region=region, timestamp=timestamp, limit=limit, record=record,
            deadline=deadline, request_id=request_id,
        )  # fmt: skip
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
        request_id: str | None = None,
    ) -> list[Recommendation]:
        """Ask for the items of B users in one request; see Recommender.recommend_many."""
        call = self._call(
            user_ids, deadline, request_id,
            device=device, region=region, timestamp=timestamp, limit=limit, record=record,
        )  # fmt: skip
        try:
            return await self._send(partial(self._recommended, call), call.deadline)
        except InvalidRequest:
            raise
        except RecommenderError as error:
            return self._instead(call, error)

    async def feedback(
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
        """Tell what a user did with an item; see Recommender.feedback."""
        event = Event(user_id, item_id, event_type, timestamp, device, region, duration_seconds)
        [entry] = await self.feedback_many([event], deadline=deadline)
        return entry

    async def feedback_many(self, events: Sequence[Event], *, deadline: float | None = None) -> list[str]:
        """Tell many events; see Recommender.feedback_many."""
        entries: list[str] = []
        for tensors, count, seconds in self._parts(events, deadline):
            entries += await self._send(partial(self._told, tensors, count, new_id()), seconds)
        return entries

    async def _send(self, ask: Callable[[AsyncTransport, float], Awaitable[T]], deadline: float) -> T:
        """Ask the replicas in turn until one gives an answer that can be read; raise what the last one said."""
        attempts = self._replicas.attempts(deadline)
        for replica, transport, seconds in attempts:
            with attempts.trying(replica):
                return await ask(transport, seconds)
        raise attempts.error

    async def _recommended(self, call: Call, transport: AsyncTransport, seconds: float) -> list[Recommendation]:
        """Ask the arm of the users on one replica, and `recommend` where that fails; read the experiment when due."""
        end = time.monotonic() + seconds
        if self._arms.due():
            with self._arms.reading():
                said = await transport.infer(RECOMMEND_AB.name, [], self._arms.seconds(seconds), new_id(), SAID)
                self._arms.read(said)
        *firsts, last = self._arms.models(call.users)
        for model in firsts:
            with self._arms.trying():
                return decode(await transport.infer(model.name, call.tensors, left(end), call.id), call.users)
        return decode(await transport.infer(last.name, call.tensors, left(end), call.id), call.users)

    async def _told(
        self, tensors: Tensors, count: int, request: str, transport: AsyncTransport, seconds: float
    ) -> list[str]:
        """Tell one replica of `count` events."""
        return decode_entries(await transport.infer(FEEDBACK.name, tensors, seconds, request), count)

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
        self,
        urls: str | Sequence[str],
        *,
        deadline: float = DEADLINE_S,
        fallback: Sequence[str] | None = None,
        canary_refresh: float | None = REFRESH_S,
    ) -> None:
        from trident_client.grpc_transport import AsyncGrpcTransport

        transports = [AsyncGrpcTransport(url) for url in addresses(urls)]
        super().__init__(Replicas(transports), deadline, fallback, canary_refresh)


class AsyncHttpRecommender(_Async):
    """Asks Trident over HTTP from one event loop; see Recommender for the arguments."""

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        deadline: float = DEADLINE_S,
        fallback: Sequence[str] | None = None,
        canary_refresh: float | None = REFRESH_S,
    ) -> None:
        from trident_client.http_transport import AsyncHttpTransport

        transports = [AsyncHttpTransport(url) for url in addresses(urls)]
        super().__init__(Replicas(transports), deadline, fallback, canary_refresh)
