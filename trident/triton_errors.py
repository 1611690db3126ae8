"""What a caller of a model of Triton's Python backend sees of an error: our texts, never a traceback or a path."""

from __future__ import annotations

import traceback
import uuid
from typing import Any

import triton_python_backend_utils as pb

from trident.errors import InvalidInput, Unavailable


def request_id(model: str, request: Any) -> str:
    """The id that the caller gave the request, "" for none; an ensemble hands it on to its steps."""
    try:
        return request.request_id()
    except UnicodeDecodeError:
        raise InvalidInput(f"{model}: request id: expected UTF-8, got bytes that are not UTF-8") from None


def triton_error(model: str, error: Exception) -> Any:
    """Turn an error into Triton's, with the code that a client can act on; what is unexpected goes to the log alone."""
    if isinstance(error, InvalidInput):
        return pb.TritonError(str(error), pb.TritonError.INVALID_ARG)
    if isinstance(error, Unavailable):
        return pb.TritonError(f"{model}: {error}", pb.TritonError.UNAVAILABLE)
    reference = uuid.uuid4().hex[:8]
    pb.Logger.log_error(f"{model}: error {reference}\n{''.join(traceback.format_exception(error))}")
    return pb.TritonError(
        f"{model}: internal error, reference {reference} in the server's log", pb.TritonError.INTERNAL
    )
