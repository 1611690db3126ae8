"""Every error that the client raises on purpose.

RecommenderError        base; a TridentError, so its text is safe to show
├── InvalidRequest      the request is not what the contract allows (also an InvalidInput)
├── DeadlineExceeded    no answer came in time (also an Unavailable)
├── Unreachable         nothing answers at the address, or it takes no work now (also an Unavailable)
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
_STOPPING = "has no available versions"  # what a server says that takes no new requests as it ends
_TRACEBACK = re.compile(r"\s*(\n\s*At:\n|Traceback \(most recent call last\))", re.DOTALL)


def error_of(status: str | None, message: str | None, url: str, seconds: float) -> RecommenderError:
    """Turn a gRPC status ("StatusCode.INTERNAL") or an HTTP one ("500") and the server's text into an error of ours."""
    kind = _KINDS.get((status or "").removeprefix("StatusCode."), ServerError)
    if _STOPPING in (message or ""):
        kind = Unreachable
    if kind is DeadlineExceeded:
        return too_late(url, seconds)
    text = " ".join(_TRACEBACK.split(message or "no reason given", maxsplit=1)[0].split())
    return kind(text if kind is InvalidRequest else f"{url}: {text}")


def too_late(url: str, seconds: float) -> DeadlineExceeded:
    """Say that `url` was silent for `seconds`."""
    return DeadlineExceeded(f"{url}: no answer within {seconds:.3g} s")
