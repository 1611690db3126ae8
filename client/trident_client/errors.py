"""Every error that the client raises on purpose.

RecommenderError        base; a TridentError, so its text is safe to show
├── InvalidRequest      the request is not what the contract allows (also an InvalidInput)
├── DeadlineExceeded    no answer came in time (also an Unavailable)
├── Unreachable         nothing answers at the address, or it takes no work now (also an Unavailable)
│   └── NotServed       what answers has no such model, or no longer
└── ServerError         the server answered that it failed, or its answer cannot be read
"""

from __future__ import annotations

import re

from trident.errors import InvalidInput, TridentError, Unavailable


class RecommenderError(TridentError):
    """Base of all errors of the client."""


class InvalidRequest(RecommenderError, InvalidInput):
    """The request is not what the contract allows; sending it again will not help."""


class DeadlineExceeded(RecommenderError, Unavailable):
    """No answer came before the deadline of the call."""


class Unreachable(RecommenderError, Unavailable):
    """Nothing answers at the address, or what answers takes no work now."""


class NotServed(Unreachable):
    """The server does not have the model, or takes no more requests for it."""


class ServerError(RecommenderError):
    """The server answered that it failed, or sent an answer that cannot be read."""


_KINDS: dict[str, type[RecommenderError]] = {
    "INVALID_ARGUMENT": InvalidRequest,
    "400": InvalidRequest,
    "DEADLINE_EXCEEDED": DeadlineExceeded,
    "408": DeadlineExceeded,
    "504": DeadlineExceeded,
    "UNAVAILABLE": Unreachable,
    "502": Unreachable,
    "503": Unreachable,
}
_NOT_SERVED = ("Request for unknown model", "has no available versions")
"""What Triton says of a model that it does not have, or that it is about to unload."""

_TRACEBACK = re.compile(r"\s*(\n\s*At:\n|Traceback \(most recent call last\))", re.DOTALL)


def error_of(status: str | None, message: str | None, url: str, seconds: float) -> RecommenderError:
    """Turn a gRPC status ("StatusCode.INTERNAL") or an HTTP one ("500") and the server's text into an error of ours."""
    kind = _KINDS.get((status or "").removeprefix("StatusCode."), ServerError)
    if any(sign in (message or "") for sign in _NOT_SERVED):
        kind = NotServed
    if kind is DeadlineExceeded:
        return too_late(url, seconds)
    text = " ".join(_TRACEBACK.split(message or "no reason given", maxsplit=1)[0].split())
    return kind(text if kind is InvalidRequest else f"{url}: {text}")


def too_late(url: str, seconds: float) -> DeadlineExceeded:
    """Say that `url` was silent for `seconds`."""
    return DeadlineExceeded(f"{url}: no answer within {seconds:.2g} s")
