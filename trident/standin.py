"""Stand-ins for Triton's native backends, for servers that ship without them: same config, files and tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import triton_python_backend_utils as pb

from trident.contract import CANDIDATES_PER_USER, RANKER, USER_TOWER, ModelContract
from trident.requests import Tensors
from trident.triton import give_way, keep_what_is_there, triton_error


class Backend:
    """Base of the stand-ins: stacks the rows of all requests that the dynamic batcher hands over, runs once, splits."""

    contract: ClassVar[ModelContract]

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model file of this version."""
        self._model = self.open(Path(args["model_repository"]) / args["model_version"])
        keep_what_is_there()
        give_way(self.contract)

    def open(self, folder: Path) -> Callable[..., Tensors]:
        """Load what lies in the version folder, as a function from tensors to tensors."""
        raise NotImplementedError

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer every request with its rows of one run."""
        try:
            names = [spec.name for spec in self.contract.inputs]
            given = [[pb.get_input_tensor_by_name(r, name).as_numpy() for name in names] for r in requests]
            ends = np.cumsum([len(arrays[0]) for arrays in given])[:-1]
            stacked = given[0] if len(given) == 1 else [np.concatenate(a) for a in zip(*given, strict=True)]
            made = self._model(**dict(zip(names, stacked, strict=True)))
            parts = {name: np.split(array, ends) for name, array in made.items()}
            return [_response({name: arrays[i] for name, arrays in parts.items()}) for i in range(len(requests))]
        except Exception as error:
            failed = triton_error(self.contract.name, error)
            return [pb.InferenceResponse(error=failed) for _ in requests]


class OnnxruntimeBackend(Backend):
    """`backend: "onnxruntime"`: model.onnx through ONNX Runtime."""

    contract = USER_TOWER

    def open(self, folder: Path) -> Callable[..., Tensors]:
        """Load model.onnx."""
        from trident.onnx import OnnxModel  # each stand-in imports its own library alone: a publish waits for it

        return OnnxModel.of(self.contract, folder / "model.onnx")


class FilBackend(Backend):
    """`backend: "fil"`: checkpoint.tl through our kernel, or through Treelite for one that the kernel cannot take."""

    contract = RANKER

    def open(self, folder: Path) -> Callable[..., Tensors]:
        """Load checkpoint.tl and run one row and many, so that the first request does not wait for the compiler."""
        from trident.forest import predictor

        predict = predictor(folder / "checkpoint.tl")
        for rows in (1, CANDIDATES_PER_USER):
            predict(np.zeros((rows, RANKER.inputs[0].shape[1]), np.float32))
        return lambda input__0: {"output__0": predict(input__0)}


def _response(tensors: Tensors) -> Any:
    return pb.InferenceResponse(
        output_tensors=[pb.Tensor(name, np.ascontiguousarray(array)) for name, array in tensors.items()]
    )
