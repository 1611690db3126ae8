"""The model repository on disk: which releases it holds and which one the ensemble points to."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from trident.canary import Canary
from trident.contract import MODELS, RECOMMEND, RECOMMEND_CANARY, ModelContract
from trident.errors import ReleaseError


def numbers_in_use(repository: Path) -> set[int]:
    """Numbers of all version folders in `repository`, of whole releases or of left-overs."""
    return {
        int(path.name)
        for model in MODELS
        for path in (repository / model.name).glob("*")
        if path.is_dir() and path.name.isdigit()
    }


def serving_release(repository: Path) -> int | None:
    """The release that the ensemble's config pins, or None when there is no ensemble yet."""
    config = _config(repository, RECOMMEND)
    if config is None:
        return None
    pinned = {step.model_version for step in config.ensemble_scheduling.step}
    if len(pinned) != 1:
        raise ReleaseError(f"{RECOMMEND.name}/config.pbtxt: its steps pin different releases: {sorted(pinned)}")
    return pinned.pop()


def canary_of(repository: Path) -> Canary | None:
    """The canary that `recommend_canary` says, or None; raises ReleaseError when its config cannot be read."""
    config = _config(repository, RECOMMEND_CANARY)
    return None if config is None else Canary.of_parameters({k: v.string_value for k, v in config.parameters.items()})


def _config(repository: Path, contract: ModelContract) -> model_config_pb2.ModelConfig | None:
    path = repository / contract.name / "config.pbtxt"
    if not path.is_file():
        return None
    try:
        return text_format.Parse(path.read_text("utf-8"), model_config_pb2.ModelConfig())
    except text_format.ParseError as error:
        raise ReleaseError(f"{contract.name}/config.pbtxt cannot be read: {error}") from None
