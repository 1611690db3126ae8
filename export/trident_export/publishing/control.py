"""The control side of a running server: load models, and see that the version that was asked for is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from trident.errors import Unavailable

LOAD_SECONDS = 300.0


@dataclass(frozen=True)
class Control:
    """The model control API of the server at `url`, "host:port" of its gRPC endpoint."""

    url: str

    def load(self, models: Sequence[str], version: int) -> None:
        """Load `models` in order; raise Unavailable unless each then serves `version`."""
        with grpc.InferenceServerClient(self.url) as client:
            for model in models:
                try:
                    client.load_model(model, client_timeout=LOAD_SECONDS)
                    ready = client.is_model_ready(model, str(version), client_timeout=LOAD_SECONDS)
                except InferenceServerException as error:
                    raise Unavailable(f"{self.url}: {model} {version} does not load: {error.message()}") from None
                if not ready:
                    raise Unavailable(f"{self.url}: {model} {version} was loaded but is not ready")

    def require(self, model: str, version: int) -> None:
        """Raise Unavailable unless `model` serves `version`: otherwise this is not the server of that repository."""
        with grpc.InferenceServerClient(self.url) as client:
            try:
                ready = client.is_model_ready(model, str(version), client_timeout=LOAD_SECONDS)
            except InferenceServerException as error:
                raise Unavailable(f"{self.url}: does not answer: {error.message()}") from None
        if not ready:
            raise Unavailable(
                f"{self.url}: the repository points to release {version}, which '{model}' does not serve there: "
                "restart the server, or name the server of this repository"
            )

    def restore(self, models: Sequence[str]) -> None:
        """Load `models` as they now lie on disk; what does not load is left to the server's log."""
        with grpc.InferenceServerClient(self.url) as client:
            for model in models:
                try:
                    client.load_model(model, client_timeout=LOAD_SECONDS)
                except InferenceServerException:
                    continue
