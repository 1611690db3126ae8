from __future__ import annotations

from pathlib import Path

import pytest

CONFIG = """
name: "double"
backend: "python"
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [ -1, 2 ] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [ -1, 2 ] }]
"""

MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        x = pb_utils.get_input_tensor_by_name(request, "x").as_numpy()
        return pb_utils.InferenceResponse([pb_utils.Tensor("y", (2 * x).astype(np.float32))])
"""


def write_model(repository: Path, source: str) -> Path:
    version = repository / "double" / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(CONFIG)
    (version / "model.py").write_text(source)
    return repository


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with one model, which doubles its input."""
    return write_model(tmp_path_factory.mktemp("double"), MODEL)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A model repository whose one model cannot be imported."""
    return write_model(tmp_path, "import a_module_that_is_nowhere\n")


@pytest.fixture
def slow(tmp_path: Path) -> Path:
    """A model repository whose one model takes a minute to import."""
    return write_model(tmp_path, "import time\ntime.sleep(60)\n" + MODEL)


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    """A model repository whose one model takes two seconds to answer."""
    source = MODEL.replace("(self, requests):\n", "(self, requests):\n        time.sleep(2)\n")
    return write_model(tmp_path, "import time\n" + source)


@pytest.fixture(scope="session")
def request_two() -> dict[str, object]:
    """A request to `double` as JSON."""
    return {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 2.0]}]}
