"""The pointer: the config of the ensemble, whose steps pin one release. Writing it and having it loaded is the flip."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from trident import model_config
from trident.contract import LEAVES, MODELS, RECOMMEND, ModelContract
from trident_export.publishing import places
from trident_export.publishing.staging import VERSIONS

CONFIGS = "configs"
"""Folder of the staging folder: configs as they were, to go back to without needing room on the disk."""


def place(repository: Path, number: int) -> None:
    """Rename the version folders of a release into place; configs of leaves are written where they differ."""
    for contract in MODELS:
        (repository / contract.name).mkdir(exist_ok=True)
        if contract in LEAVES:
            write_config(contract, repository, number)
        staged = places.staging(repository) / VERSIONS / contract.name / str(number)
        staged.rename(repository / contract.name / str(number))
        places.sync(repository / contract.name)


def point(repository: Path, number: int) -> None:
    """Let the ensemble on disk pin release `number`; a server sees it when it loads the ensemble."""
    write_config(RECOMMEND, repository, number)


def write_config(contract: ModelContract, repository: Path, number: int) -> None:
    """Write a config only when it differs: a changed file makes Triton load all versions again."""
    written = {config_file(contract, repository): model_config.text(contract, number)}
    if card := model_config.gpu_text(contract):
        written[gpu_config_file(contract, repository)] = card
    for path, text in written.items():
        if not path.is_file() or path.read_text("utf-8") != text:
            _keep(path, repository)
            path.parent.mkdir(exist_ok=True)
            places.replace(path, text, places.staging(repository) / f"{contract.name}.pbtxt")


def restore_configs(repository: Path) -> None:
    """Put every config back that was replaced since the staging folder was made."""
    kept = places.staging(repository) / CONFIGS
    for path in sorted(kept.rglob("*.pbtxt")):
        path.replace(repository / path.relative_to(kept))


def remove_new_models(repository: Path) -> None:
    """Remove the configs and folders of models that have no version any more: they were made for a release."""
    for contract in MODELS:
        folder = repository / contract.name
        if folder.is_dir() and not any(path.name.isdigit() for path in folder.iterdir()):
            config_file(contract, repository).unlink(missing_ok=True)
            gpu_config_file(contract, repository).unlink(missing_ok=True)
            for empty in (folder / "configs", folder):
                with suppress(OSError):
                    empty.rmdir()


def config_file(contract: ModelContract, repository: Path) -> Path:
    """Where the config of a model lies."""
    return repository / contract.name / "config.pbtxt"


def gpu_config_file(contract: ModelContract, repository: Path) -> Path:
    """Where the one lies that machines with cards take instead."""
    return repository / contract.name / "configs" / f"{model_config.GPU}.pbtxt"


def _keep(path: Path, repository: Path) -> None:
    """A second name for a config as it is, unless there is one from before."""
    kept = places.staging(repository) / CONFIGS / path.relative_to(repository)
    kept.parent.mkdir(parents=True, exist_ok=True)
    if path.is_file() and not kept.exists():
        os.link(path, kept)
