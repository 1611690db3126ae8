"""An ONNX model on the CPU, one thread per process: requests run beside each other in processes, not in threads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

from trident.contract import ModelContract
from trident.errors import ReleaseError


@dataclass(frozen=True)
class OnnxModel:
    """An inference session and the names of its outputs."""

    session: onnxruntime.InferenceSession
    outputs: tuple[str, ...]

    @classmethod
    def open(cls, path: Path, outputs: tuple[str, ...]) -> OnnxModel:
        """Load a model file; raise ReleaseError when ONNX Runtime refuses it."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has no common base of its errors
            raise ReleaseError(f"{path.name} cannot be read: {type(error).__name__}") from None
        return cls(session, outputs)

    @classmethod
    def of(cls, contract: ModelContract, path: Path) -> OnnxModel:
        """Load the model of a contract."""
        return cls.open(path, tuple(spec.name for spec in contract.outputs))

    def __call__(self, **tensors: np.ndarray) -> dict[str, np.ndarray]:
        """Run the model on arrays by input name."""
        return dict(zip(self.outputs, self.session.run(list(self.outputs), tensors), strict=True))
