"""The configs of a repository that another version of this software filled, brought up to date before it is served."""

from __future__ import annotations

import os
from pathlib import Path

from trident import model_config
from trident.contract import MODELS, RECOMMEND_AB, RECOMMEND_CANARY, ModelContract
from trident.errors import SetupError
from trident.repository import canary_of, serving_release


def renew_configs(repository: Path) -> list[str]:
    """Write the `config.pbtxt` of each model again where this version would write another; returns those models.

    The code of the models is that of this version too: only the numbers of the releases are the repository's. Raises
    SetupError when it may not be written.
    """
    release, canary = serving_release(repository), canary_of(repository)
    written = {_path(repository, contract): model_config.text(contract, release) for contract in MODELS}
    written |= {
        _path(repository, contract): model_config.text_of_experiment(contract, canary)
        for contract in (RECOMMEND_AB, RECOMMEND_CANARY)
    }
    old = [path for path, text in written.items() if path.is_file() and path.read_text("utf-8") != text]
    for path in old:
        _replace(path, written[path], repository)
    return [path.parent.name for path in old]


def _path(repository: Path, contract: ModelContract) -> Path:
    return repository / contract.name / "config.pbtxt"


def _replace(path: Path, text: str, repository: Path) -> None:
    draft = repository.parent / f".{repository.name}.{path.parent.name}.{os.getpid()}"
    try:
        draft.write_text(text, "utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise SetupError(
            f"{path.parent.name}/config.pbtxt is of another version of this software and cannot be written again: "
            f"{error.strerror or error}: publish a release with this version, or let this user write to the repository"
        ) from None
