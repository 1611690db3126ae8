"""The whole path in one process: the same stages as in the server, composed the way the ensemble composes them.

It is the oracle of the server tests, the trial of a release before it is published, what evaluation asks and what
`trident explain` takes apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trident.contract import (
    BUSINESS_RULES,
    CANDIDATES,
    LEAVES,
    RANKER,
    RECOMMEND,
    RENAMED,
    STEPS,
    USER_ENCODER,
    USER_TOWER,
    ModelContract,
)
from trident.forest import predictor
from trident.onnx import OnnxModel
from trident.release import Release
from trident.requests import check_inputs
from trident.settings import Settings
from trident.stages import STAGES
from trident.stages.business_rules import BusinessRules
from trident.stages.candidates import Candidates
from trident.stages.featured_candidates import FeaturedCandidates
from trident.stages.host import Host, Infer, Users
from trident.stages.stage import Tensors
from trident.stages.user_encoder import UserEncoder
from trident.state.store import UserStore

Model = Callable[..., Tensors]
Files = dict[str, dict[str, Path]]
"""By model the place of each of its files."""


@dataclass(frozen=True)
class Pipeline:
    """The steps of one release, in order, by model name."""

    release: Release
    steps: dict[str, Model]

    @classmethod
    def open(cls, folder: Path | str, users: Users | None = None) -> Pipeline:
        """Open all stages of a release folder; Redis is the one that REDIS_URL names.

        With `users` the state of users comes from there and the state of items from the release, and Redis has no say.
        """
        release = Release.open(folder)
        files = {model.name: {name: release.folder / path for name, path in model.files.items()} for model in LEAVES}
        return cls._of({model.name: release for model in LEAVES}, files, Host(_asking(files), stand_in=users))

    @classmethod
    def of_repository(
        cls,
        repository: Path,
        number: int,
        settings: Settings,
        store: type[UserStore] = UserStore,
        users: Users | None = None,
    ) -> Pipeline:
        """Open release `number` as the models of a repository have it, over the Redis of `settings` or with `users`."""
        folders = {model.name: repository / model.name / str(number) for model in LEAVES}
        files = {model.name: {name: folders[model.name] / name for name in model.files} for model in LEAVES}
        releases = {model.name: Release.open(folders[model.name]) for model in LEAVES if model.name in STAGES}
        return cls._of(releases, files, Host(_asking(files), settings, users, store))

    @classmethod
    def _of(cls, releases: dict[str, Release], files: Files, host: Host) -> Pipeline:
        predict = predictor(files[RANKER.name]["checkpoint.tl"])

        def rank(input__0: np.ndarray) -> Tensors:
            return {"output__0": predict(input__0)}

        opened = {step.name: STAGES[step.name].open(releases[step.name], host) for step in STEPS if step.name in STAGES}
        return cls(releases[CANDIDATES.name], {step.name: opened.get(step.name, rank) for step in STEPS})

    def __call__(self, **inputs: np.ndarray) -> Tensors:
        """Answer one request of B users: the public tensors of `recommend` in and out."""
        tensors = self.trace(**inputs)
        return {spec.name: tensors[spec.name] for spec in RECOMMEND.outputs}

    def trace(self, **inputs: np.ndarray) -> Tensors:
        """Like a call, but with every tensor between the steps as well."""
        *_, (_, tensors) = self.walk(**inputs)
        return tensors

    def walk(self, **inputs: np.ndarray) -> Iterator[tuple[str, Tensors]]:
        """Go step by step: after each of them its name, and all tensors so far."""
        tensors = check_inputs(RECOMMEND, inputs)
        for step in STEPS:
            given = {spec.name: tensors[RENAMED.get(spec.name, spec.name)] for spec in step.takes}
            made = self.steps[step.name](**given)
            tensors |= {RENAMED.get(name, name): array for name, array in made.items()}
            yield step.name, tensors

    @property
    def user_encoder(self) -> UserEncoder:
        """The stage that knows the users."""
        return self._stage(USER_ENCODER, UserEncoder)

    @property
    def candidates(self) -> Candidates:
        """The stage that searches."""
        return self._stage(CANDIDATES, FeaturedCandidates).search

    @property
    def business_rules(self) -> BusinessRules:
        """The last stage."""
        return self._stage(BUSINESS_RULES, BusinessRules)

    def close(self) -> None:
        """Let go of the connections and end the threads of the stages."""
        for stage in self.steps.values():
            if close := getattr(stage, "close", None):
                close()

    def _stage(self, contract: ModelContract, kind: type) -> Any:
        stage = self.steps[contract.name]
        if not isinstance(stage, kind):
            raise TypeError(f"{contract.name}: expected a {kind.__name__}, got a {type(stage).__name__}")
        return stage


def _asking(files: Files) -> Infer:
    """Answers for the one model that stages ask."""
    tower = OnnxModel.of(USER_TOWER, files[USER_TOWER.name]["model.onnx"])
    return lambda contract, tensors: tower(**tensors)
