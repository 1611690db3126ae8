"""One real request after the start: are the tensors that come back whole?"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
from collections.abc import Mapping
from typing import Any

from trident import contract
from trident.errors import SetupError, Unavailable

Body = Mapping[str, Any]
"""A request of Triton's HTTP protocol as JSON: {"inputs": [{"name", "shape", "datatype", "data"}, ...]}."""

EMPTY = (
    "tensors from Python models come back empty, as they do with numpy 2 in the server's interpreter: "
    "pip install 'numpy<2' and start again"
)


EMPTY_OVER_JSON = "does not match size of output"
"""How the server's JSON writer puts it when a tensor has a shape but no bytes."""


def sample() -> Body:
    """A request to `recommend` for a user that nobody is, which leaves no trace."""
    values = ((contract.USER_ID, "trident-round-trip"), (contract.RECORD, False))
    return {"inputs": [{"name": spec.name, "shape": [1, 1], "datatype": spec.dtype, "data": [v]} for spec, v in values]}


def check_round_trip(address: str, model: str, body: Body, patience: float = 30.0) -> None:
    """Ask `model` at the HTTP `address` once.

    Raises SetupError when an output comes back empty, Unavailable without a good answer within `patience` seconds.
    """
    status, answer = _ask(address, model, body, patience)
    refusal = "" if status == http.HTTPStatus.OK else str(answer.get("error", status))
    if refusal and EMPTY_OVER_JSON not in refusal:
        raise Unavailable(f"{model} is ready but refuses the first request: {refusal}")
    outputs = answer.get("outputs", [])
    if refusal or not outputs or not all(math.prod(o["shape"]) == len(o.get("data", [])) > 0 for o in outputs):
        raise SetupError(EMPTY)


def _ask(address: str, model: str, body: Body, patience: float) -> tuple[int, dict[str, Any]]:
    """Send the request and read status and JSON answer."""
    connection = http.client.HTTPConnection(address, timeout=patience)
    try:
        with contextlib.closing(connection):
            connection.request("POST", f"/v2/models/{model}/infer", json.dumps(body).encode())
            response = connection.getresponse()
            return response.status, json.loads(response.read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unavailable(f"{model} is ready but gives no answer to the first request: {error}") from None
