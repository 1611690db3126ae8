"""One replica over HTTP with Triton's binary tensors, blocking and for asyncio."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Awaitable
from http.client import BadStatusLine, HTTPException, HTTPResponse
from typing import Any, TypeVar

import aiohttp
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput
from tritonclient.http.aio import InferenceServerClient as AsyncInferenceServerClient
from tritonclient.utils import InferenceServerException

from trident.contract import RECOMMEND
from trident.wire import Connection
from trident_client.codec import Output, Outputs, Tensors, infer_inputs, wanted_outputs
from trident_client.errors import RecommenderError, ServerError, Unreachable, error_of, too_late

MODELS = "/v2/models"
JSON_BYTES = "Inference-Header-Content-Length"
"""Where the JSON ends and the tensors begin."""

NEVER_S = 3600.0
"""The time-out of the asyncio library; each call keeps its own deadline."""

T = TypeVar("T")


class HttpTransport:
    """A pool of connections to one replica; thread-safe."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: deque[Connection] = deque()
        self._closed = False

    def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; raise one of our errors after at most `seconds`."""
        body, json_bytes = InferenceServerClient.generate_request_body(
            infer_inputs(InferInput, tensors),
            outputs=wanted_outputs(InferRequestedOutput, outputs),
            request_id=request,
        )
        headers = {} if json_bytes is None else {JSON_BYTES: str(json_bytes)}
        response, content = self._ask(seconds, "POST", f"{MODELS}/{model}/infer", body, headers)
        if response.status != 200:
            raise error_of(str(response.status), _reason(content), self._url, seconds)
        header = response.getheader(JSON_BYTES)
        try:
            result = InferenceServerClient.parse_response_body(content, header_length=int(header) if header else None)
        except ValueError:
            raise _not_triton(self._url) from None
        return result.as_numpy

    def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready there."""
        try:
            return self._ask(seconds, "GET", f"{MODELS}/{RECOMMEND.name}/ready")[0].status == 200
        except RecommenderError:
            return False

    def close(self) -> None:
        """Close the idle connections now and the busy ones after their call."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _ask(self, seconds: float, *request: Any) -> tuple[HTTPResponse, bytes]:
        """One request on an idle connection or on a new one; a connection that failed is not used again."""
        end = time.monotonic() + seconds
        connection = self._take()
        try:
            answer = connection.request_until(end, *request)
        except TimeoutError:
            connection.close()
            raise too_late(self._url, seconds) from None
        except (OSError, HTTPException) as error:
            connection.close()
            raise _unreachable(self._url, error) from None
        self._give_back(connection)
        return answer

    def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.alive():
                return connection
            connection.close()
        host, _, port = self._url.rpartition(":")
        return Connection(host.strip("[]"), int(port))

    def _give_back(self, connection: Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)


class AsyncHttpTransport:
    """A session with one replica, opened in the event loop of the first call."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: AsyncInferenceServerClient | None = None

    async def infer(self, model: str, tensors: Tensors, seconds: float, request: str, outputs: Outputs = ()) -> Output:
        """Ask `model` for `outputs`, by default all; raise one of our errors after at most `seconds`."""
        inputs, wanted = infer_inputs(InferInput, tensors), wanted_outputs(InferRequestedOutput, outputs)
        asking = self._client().infer(model, inputs, outputs=wanted, request_id=request)
        result = await self._within(seconds, asking)
        return result.as_numpy

    async def ready(self, seconds: float) -> bool:
        """Say whether `recommend` is ready there."""
        try:
            return bool(await self._within(seconds, self._client().is_model_ready(RECOMMEND.name)))
        except RecommenderError:
            return False

    async def close(self) -> None:
        """Close the session."""
        if self._opened is not None:
            await self._opened.close()

    def _client(self) -> Any:
        if self._opened is None:
            self._opened = AsyncInferenceServerClient(self._url, conn_timeout=NEVER_S)
        return self._opened

    async def _within(self, seconds: float, asking: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(asking, seconds)
        except InferenceServerException as error:
            text = _reason(error.debug_details()) if error.debug_details() else error.message()
            raise error_of(error.status(), text, self._url, seconds) from None
        except asyncio.TimeoutError:
            raise too_late(self._url, seconds) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _unreachable(self._url, error) from None
        except ValueError:
            raise _not_triton(self._url) from None


NOT_TRITON = "what answers there is not Triton's HTTP endpoint: is the port right?"


def _reason(body: bytes | str) -> str:
    """The text of an error answer."""
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return NOT_TRITON


def _unreachable(url: str, error: Exception) -> Unreachable:
    no_http = isinstance(error, (BadStatusLine, aiohttp.ClientResponseError)) and not isinstance(error, OSError)
    return Unreachable(f"{url}: {NOT_TRITON if no_http else str(error) or type(error).__name__}")


def _not_triton(url: str) -> ServerError:
    return ServerError(f"{url}: {NOT_TRITON}")
