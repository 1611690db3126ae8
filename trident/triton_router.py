"""The router as a model of Triton's Python backend.

Triton runs one `execute` of a process at a time, and a request takes as long as the model that is asked. So `execute`
only takes requests in, threads ask and answer them, and one process serves as many requests at once as it has threads.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import triton_python_backend_utils as pb

from trident.admission import BUSY
from trident.canary import Canary
from trident.contract import ModelContract, TensorSpec
from trident.errors import InvalidInput
from trident.requests import Tensors, check_inputs
from trident.router import ArmFailed, Router
from trident.triton_errors import request_id, triton_error
from trident.triton_intake import send
from trident.triton_metrics import MetricsReporter

REQUESTS = 64
"""Requests that are under way at once; further ones wait."""


class RouterModel:
    """Base of the `TritonPythonModel` of a router: a subclass names its contract and its stage."""

    contract: ClassVar[ModelContract]
    stage: ClassVar[type[Router]]

    def initialize(self, args: dict[str, str]) -> None:
        """Read from the config which experiment runs."""
        written = json.loads(args["model_config"]).get("parameters", {})
        self._canary = Canary.of_parameters({key: value["string_value"] for key, value in written.items()})
        self._requests = ThreadPoolExecutor(REQUESTS, "request")
        self._arms = ThreadPoolExecutor(REQUESTS, "arm")
        self._reporter = MetricsReporter()
        self._reporter.start()

    def finalize(self) -> None:
        """Answer what was taken in, and report the last metrics."""
        self._requests.shutdown()
        self._arms.shutdown()
        self._reporter.stop()

    def execute(self, requests: Sequence[Any]) -> None:
        """Take requests in; their tensors are copied, for Triton frees them when this returns."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                given = {tensor.name(): tensor.as_numpy().copy() for tensor in request.inputs()}
                named = set(request.requested_output_names())
                wanted = [spec for spec in self.contract.outputs if spec.name in named]
                self._requests.submit(self._answer, sender, given, wanted, request_id(self.contract.name, request))
            except Exception as error:
                send(sender, self._failed(error))

    def _answer(self, sender: Any, given: Tensors, wanted: Sequence[TensorSpec], request: str) -> None:
        def ask(contract: ModelContract, tensors: Tensors, outputs: Sequence[TensorSpec]) -> Tensors:
            return infer(contract, tensors, outputs, request)

        try:
            tensors = self.stage(self._canary, ask, self._arms)(given, wanted)
            response = pb.InferenceResponse([pb.Tensor(name, array) for name, array in tensors.items()])
        except ArmFailed as error:
            response = pb.InferenceResponse(error=pb.TritonError(str(error), self._code(given, error)))
        except Exception as error:
            response = self._failed(error)
        send(sender, response)

    def _code(self, given: Tensors, error: ArmFailed) -> int:
        """The code of an arm's error: Triton hands its text on, and says INTERNAL of every code."""
        try:
            check_inputs(self.contract, given)
        except InvalidInput:
            return pb.TritonError.INVALID_ARG
        return pb.TritonError.UNAVAILABLE if BUSY in str(error) else error.code

    def _failed(self, error: Exception) -> Any:
        return pb.InferenceResponse(error=triton_error(self.contract.name, error))


def infer(contract: ModelContract, tensors: Tensors, outputs: Sequence[TensorSpec], request: str) -> Tensors:
    """Ask the newest version of another model under the id `request`; raises ArmFailed."""
    asked = pb.InferenceRequest(
        model_name=contract.name,
        request_id=request,
        requested_output_names=[spec.name for spec in outputs],
        inputs=[pb.Tensor(name, np.ascontiguousarray(array)) for name, array in tensors.items()],
    )
    try:
        response = asked.exec()
    except Exception as error:  # the model is not there
        raise ArmFailed(str(error), pb.TritonError.UNAVAILABLE) from None
    if response.has_error():
        raise ArmFailed(response.error().message(), response.error().code())
    return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}
