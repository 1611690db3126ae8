"""The only code that knows `triton_python_backend_utils`: a stage as a model of Triton's Python backend.

Each request is checked on its own, so that a bad one never fails its neighbours; the good ones are stacked, the stage
runs once, and the answers are split again. A caller sees our error texts, never a traceback or a path.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import triton_python_backend_utils as pb

from trident.admission import Admission
from trident.contract import STEPS, TICKET, ModelContract, TensorSpec
from trident.errors import Unavailable
from trident.release import Release
from trident.requests import check_inputs, split, stack, together
from trident.stages.host import Host
from trident.stages.stage import Stage, Tensors
from trident.triton_errors import request_id, triton_error
from trident.triton_metrics import MetricsReporter

REQUEST_ID = "request_id"
"""The argument of stages whose contract is `named`."""

LATER = 5
"""How nice the steps after the first are, as the operating system counts it."""


class StageModel:
    """Base of every `TritonPythonModel`: a subclass names its contract and its stage."""

    contract: ClassVar[ModelContract]
    stage: ClassVar[type[Stage]]

    def initialize(self, args: dict[str, str]) -> None:
        """Open the part of the release that lies in this version's folder."""
        self._version = int(args["model_version"])
        folder = Path(args["model_repository"]) / args["model_version"]
        card = int(args["model_instance_device_id"]) if args["model_instance_kind"] == "GPU" else None
        host = Host(self._infer, card=card)
        self._stage = self.stage.open(Release.open(folder), host)
        counting = self.contract.admits or self.contract.ends
        self._admission = Admission.of_environment(host.settings.most_under_way) if counting else None
        self._reporter = MetricsReporter(self._version)
        self._reporter.start()
        keep_what_is_there()
        give_way(self.contract)

    def finalize(self) -> None:
        """End what the stage runs beside the requests, and report the last metrics."""
        if close := getattr(self._stage, "close", None):
            close()
        self._reporter.stop()
        if self._admission:
            self._admission.close()

    def execute(self, requests: Sequence[Any]) -> list[Any] | None:
        """Answer every request, each with its tensors or with its own error."""
        answers: list[Any] = [None] * len(requests)
        good: list[tuple[int, Tensors]] = []
        for i, request in enumerate(requests):
            try:
                good.append((i, self._taken_in(request)))
            except Exception as error:
                answers[i] = self._failed(error)
        for (i, _), answer in zip(good, self._answers([tensors for _, tensors in good]), strict=True):
            answers[i] = answer
        return answers

    def _taken_in(self, request: Any) -> Tensors:
        """What the stage takes of a request; one too many is refused before it is looked at."""
        ticket = self._ticket(request)
        try:
            return self._checked(request, ticket)
        except Exception:
            if self._admission and ticket:
                self._admission.leave(ticket)
            raise

    def _answers(self, inputs: list[Tensors]) -> list[Any]:
        """The answers to some requests; the tickets of those that end here, or never get further, are handed back."""
        answers = self._run(inputs)
        for tensors, answer in zip(inputs, answers, strict=True):
            if self._admission and (self.contract.ends or answer.has_error()):
                self._admission.leave(int(tensors[TICKET.name][0, 0]))
        return answers

    def _run(self, inputs: list[Tensors]) -> list[Any]:
        try:
            if len(inputs) == 1 or not self.contract.merge:
                outputs = [self._stage(**tensors) for tensors in inputs]
            else:
                outputs = split(self.contract, self._stage(**self._stacked(inputs)), inputs)
            return [self._response(tensors) for tensors in outputs]
        except Exception as error:
            if len(inputs) == 1:
                return [self._failed(error)]
            return [answer for tensors in inputs for answer in self._run([tensors])]

    def _checked(self, request: Any, ticket: int) -> Tensors:
        """The inputs of a request, checked, with its id and its ticket for each of its users where the stage asks."""
        given = {tensor.name(): tensor.as_numpy() for tensor in request.inputs()}
        tensors = check_inputs(self.contract, given)
        users = len(tensors[self.contract.takes[0].name])
        if self.contract.named:
            tensors[REQUEST_ID] = np.full(users, request_id(self.contract.name, request), np.object_)
        if self.contract.admits:
            tensors[TICKET.name] = np.full((users, 1), ticket, np.int64)
        return tensors

    def _ticket(self, request: Any) -> int:
        """A ticket for who will hand it back, else 0; a step that is asked by itself is not counted."""
        if self._admission is None or not self.contract.admits or TICKET.name not in request.requested_output_names():
            return 0
        return self._admission.enter()

    def _stacked(self, inputs: list[Tensors]) -> Tensors:
        more = inputs[0].keys() - {spec.name for spec in self.contract.takes}
        return stack(self.contract, inputs) | {
            name: np.concatenate([tensors[name] for tensors in inputs]) for name in more
        }

    def _response(self, tensors: Tensors) -> Any:
        outputs = [pb.Tensor(spec.name, _plain(together(spec, tensors), spec)) for spec in self.contract.outputs]
        return pb.InferenceResponse(output_tensors=outputs)

    def _failed(self, error: Exception) -> Any:
        return pb.InferenceResponse(error=triton_error(self.contract.name, error))

    def _infer(self, contract: ModelContract, tensors: Tensors) -> Tensors:
        request = pb.InferenceRequest(
            model_name=contract.name,
            model_version=self._version,
            requested_output_names=[spec.name for spec in contract.outputs],
            inputs=[pb.Tensor(name, array) for name, array in tensors.items()],
        )
        response = request.exec()
        if response.has_error():
            raise Unavailable(f"{contract.name}: {response.error().message()}")
        return {tensor.name(): tensor.as_numpy() for tensor in response.output_tensors()}


def keep_what_is_there() -> None:
    """Let Python's collector look no more at what a model has loaded: that takes tens of milliseconds of a request."""
    gc.collect()
    gc.freeze()


def give_way(contract: ModelContract) -> None:
    """Let steps after the first run when the first has nothing to do.

    Whoever takes requests in and refuses what is too much waits for a core otherwise, behind what is under way.
    """
    if contract in STEPS[1:]:
        os.nice(LATER)


def _plain(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    return np.ascontiguousarray(array, spec.numpy_dtype)
