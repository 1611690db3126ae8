"""Triton's model control over HTTP: what is loaded, load it again, unload it."""

from __future__ import annotations

import contextlib
import http.client
import json
from dataclasses import dataclass, field

from trident.errors import Unavailable
from trident.serving.control_key import explained, http_headers
from trident.serving.stubs import Version

READY = "READY"


@dataclass(frozen=True)
class ModelControl:
    """The model control of the server at `address`, "host:port" of its HTTP endpoint, which asks for `key`.

    Every call raises Unavailable with the server's reason when it is refused, and when no answer comes within
    `patience` seconds.
    """

    address: str
    patience: float = 120.0
    key: str = field(default="", repr=False)

    def load(self, model: str) -> None:
        """Load `model` as it lies in the repository; versions whose files have not changed go on as they are."""
        self._ask(f"/v2/repository/models/{model}/load")

    def unload(self, model: str) -> None:
        """Refuse new requests to `model` from now on, and take it down when those that it has are answered."""
        self._ask(f"/v2/repository/models/{model}/unload")

    def states(self) -> dict[Version, str]:
        """`READY`, LOADING, UNLOADING or UNAVAILABLE for every version of a model that was ever loaded."""
        rows = json.loads(self._ask("/v2/repository/index"))
        return {(row["name"], int(row["version"])): row["state"] for row in rows if "state" in row}

    def _ask(self, path: str) -> bytes:
        try:
            connection = http.client.HTTPConnection(self.address, timeout=self.patience)
            with contextlib.closing(connection):
                connection.request("POST", path, "{}", http_headers(self.key))
                response = connection.getresponse()
                status, body = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"the server does not answer: {type(error).__name__}") from None
        if status != http.HTTPStatus.OK:
            raise Unavailable(explained(_reason(body)))
        return body


def _reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return repr(body[:200])
