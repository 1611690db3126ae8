"""One replica over gRPC, blocking and for asyncio."""

from __future__ import annotations

from typing import Any

from tritonclient.grpc import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.grpc.aio import InferenceServerClient as AsyncInferenceServerClient
from tritonclient.utils import InferenceServerException

from trident.contract import RECOMMEND
from trident_client.codec import Output, Outputs, Tensors, infer_inputs, wanted_outputs
from trident_client.errors import error_of

CHANNEL = [
    ("grpc.max_receive_message_length", 64 << 20),
    # without these a replica that comes back is looked for only after up to two minutes
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),
    ("grpc.max_reconnect_backoff_ms", 1000),
]


class GrpcTransport:
    """A channel to one replica; thread-safe."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = InferenceServerClient(url, channel_args=CHANNEL)

    def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; raise one of our errors after at most `seconds`."""
        try:
            wanted = wanted_outputs(InferRequestedOutput, outputs)
            return self._client.infer(
                model, infer_inputs(InferInput, tensors), outputs=wanted, request_id=request, client_timeout=seconds
            ).as_numpy
        except InferenceServerException as error:
            raise error_of(error.status(), error.message(), self._url, seconds) from None

    def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready there."""
        try:
            return bool(self._client.is_model_ready(RECOMMEND.name, client_timeout=seconds))
        except InferenceServerException:
            return False

    def close(self) -> None:
        """Close the channel."""
        self._client.close()


class AsyncGrpcTransport:
    """A grpc.aio channel to one replica, opened in the event loop of the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: AsyncInferenceServerClient | None = None

    def _client(self) -> Any:
        if self._opened is None:
            self._opened = AsyncInferenceServerClient(self._url, channel_args=CHANNEL)
        return self._opened

    async def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; raise one of our errors after at most `seconds`."""
        try:
            wanted = wanted_outputs(InferRequestedOutput, outputs)
            result = await self._client().infer(
                model, infer_inputs(InferInput, tensors), outputs=wanted, request_id=request, client_timeout=seconds
            )
        except InferenceServerException as error:
            raise error_of(error.status(), error.message(), self._url, seconds) from None
        return result.as_numpy

    async def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready there."""
        try:
            return bool(await self._client().is_model_ready(RECOMMEND.name, client_timeout=seconds))
        except InferenceServerException:
            return False

    async def close(self) -> None:
        """Close the channel."""
        if self._opened is not None:
            await self._opened.close()
