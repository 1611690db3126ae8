"""The whole path in one process: the same stages as in the server, composed the way the ensemble composes them.

It is the oracle of the server tests, and the trial of a release before it is published.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import RANKER, RECOMMEND, RENAMED, STEPS, USER_TOWER, ModelContract
from trident.forest import predictor
from trident.onnx import OnnxModel
from trident.release import Release
from trident.requests import check_inputs
from trident.stages import STAGES
from trident.stages.stage import Tensors

Model = Callable[..., Tensors]


@dataclass(frozen=True)
class Pipeline:
    """The steps of one release, in order, by model name."""

    release: Release
    steps: dict[str, Model]

    @classmethod
    def open(cls, folder: Path | str) -> Pipeline:
        """Open all stages of a release folder; Redis is the one that REDIS_URL names."""
        release = Release.open(folder)
        tower = OnnxModel.of(USER_TOWER, release.folder / USER_TOWER.files["model.onnx"])
        predict = predictor(release.folder / RANKER.files["checkpoint.tl"])

        def infer(contract: ModelContract, tensors: Tensors) -> Tensors:
            return tower(**tensors)

        def rank(input__0: np.ndarray) -> Tensors:
            return {"output__0": predict(input__0)}

        models: dict[str, Model] = {name: stage.open(release, infer) for name, stage in STAGES.items()}
        return cls(release, {step.name: models.get(step.name, rank) for step in STEPS})

    def __call__(self, **inputs: np.ndarray) -> Tensors:
        """Answer one request of B users: the public tensors of `recommend` in and out."""
        tensors = self.trace(**inputs)
        return {spec.name: tensors[spec.name] for spec in RECOMMEND.outputs}

    def trace(self, **inputs: np.ndarray) -> Tensors:
        """Like a call, but with every tensor between the steps as well."""
        tensors = check_inputs(RECOMMEND, inputs)
        for step in STEPS:
            given = {spec.name: tensors[RENAMED.get(spec.name, spec.name)] for spec in step.inputs}
            made = self.steps[step.name](**given)
            tensors |= {RENAMED.get(name, name): array for name, array in made.items()}
        return tensors
