"""The control side of a running server: load models, and see that the version that was asked for is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from trident.errors import Unavailable
from trident.serving.control_key import explained, grpc_headers

LOAD_SECONDS = 300.0


@dataclass(frozen=True)
class Control:
    """The model control API of the server at `url`, "host:port" of its gRPC endpoint, which asks for `key`."""

    url: str
    key: str = field(default="", repr=False)

    def load(self, models: Sequence[str], version: int) -> None:
        """Load `models` in order; raise Unavailable unless each then serves `version`."""
        with grpc.InferenceServerClient(self.url) as client:
            for model in models:
                try:
                    client.load_model(model, headers=grpc_headers(self.key), client_timeout=LOAD_SECONDS)
                    ready = client.is_model_ready(model, str(version), client_timeout=LOAD_SECONDS)
                except InferenceServerException as error:
                    reason = explained(error.message())
                    raise Unavailable(f"{self.url}: {model} {version} does not load: {reason}") from None
                if not ready:
                    raise Unavailable(f"{self.url}: {model} {version} was loaded but is not ready")

    def serves(self, model: str, version: int) -> bool:
        """Whether `model` is ready in `version`; raise Unavailable when the server does not answer."""
        with grpc.InferenceServerClient(self.url) as client:
            try:
                return client.is_model_ready(model, str(version), client_timeout=LOAD_SECONDS)
            except InferenceServerException as error:
                raise Unavailable(f"{self.url}: does not answer: {error.message()}") from None

    def require(self, model: str, version: int) -> None:
        """Raise Unavailable unless `model` serves `version` and the server takes the key.

        Otherwise this is not the server of that repository.
        """
        if not self.serves(model, version):
            raise Unavailable(
                f"{self.url}: the repository points to release {version}, which '{model}' does not serve there: "
                "restart the server, or name the server of this repository"
            )
        with grpc.InferenceServerClient(self.url) as client:
            try:
                client.get_model_repository_index(headers=grpc_headers(self.key), client_timeout=LOAD_SECONDS)
            except InferenceServerException as error:
                raise Unavailable(f"{self.url}: refuses: {explained(error.message())}") from None

    def restore(self, models: Sequence[str]) -> None:
        """Load `models` as they now lie on disk; what does not load is left to the server's log."""
        with grpc.InferenceServerClient(self.url) as client:
            for model in models:
                try:
                    client.load_model(model, headers=grpc_headers(self.key), client_timeout=LOAD_SECONDS)
                except InferenceServerException:
                    continue

    def unload(self, models: Sequence[str]) -> None:
        """Take no more requests for `models`, whose running ones are answered; raise Unavailable where it fails."""
        with grpc.InferenceServerClient(self.url) as client:
            for model in models:
                try:
                    client.unload_model(model, headers=grpc_headers(self.key), client_timeout=LOAD_SECONDS)
                except InferenceServerException as error:
                    reason = explained(error.message())
                    raise Unavailable(f"{self.url}: {model} cannot be unloaded: {reason}") from None
