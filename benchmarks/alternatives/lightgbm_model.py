"""`ranker` as a Python model around LightGBM, as most repositories have it; copied into the repository as model.py."""

from pathlib import Path

import lightgbm
import numpy as np
import triton_python_backend_utils as pb


class TritonPythonModel:
    """Stacks what the dynamic batcher hands over, predicts once, splits."""

    def initialize(self, args):
        """Load the model file of this version."""
        folder = Path(args["model_repository"]) / args["model_version"]
        self.booster = lightgbm.Booster(model_file=folder / "model.txt")

    def execute(self, requests):
        """Answer every request with its rows."""
        rows = [pb.get_input_tensor_by_name(request, "input__0").as_numpy() for request in requests]
        stacked = rows[0] if len(rows) == 1 else np.concatenate(rows)
        scores = self.booster.predict(stacked, num_threads=1).astype(np.float32)[:, None]
        parts = np.split(scores, np.cumsum([len(r) for r in rows])[:-1])
        return [pb.InferenceResponse([pb.Tensor("output__0", np.ascontiguousarray(part))]) for part in parts]
