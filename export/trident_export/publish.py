"""Publishing: a release folder becomes version N of every model, and the ensemble points to it last.

Everything is prepared beside the repository on the same file system and checked before a loader sees it; then folders
are renamed into place, the leaves are loaded, and replacing the ensemble's config is the flip. Whatever fails before
the flip is taken back, and the release that served goes on serving.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trident import model_config
from trident.contract import LEAVES, MODELS, RECOMMEND, ModelContract
from trident.errors import ReleaseError
from trident.locations import model_repository
from trident.release import MANIFEST, Release
from trident.repository import numbers_in_use, serving_release
from trident.state.load import load_users
from trident_export.control import Control
from trident_export.trial import trial

SMALL = 1 << 20  # bytes
KEPT = 2  # the serving release and its predecessor


@dataclass(frozen=True)
class Server:
    """A running server that serves the repository, and the Redis that it asks."""

    control: Control
    redis_url: str


def publish(release_folder: Path, repository: Path, server: Server | None = None) -> int:
    """Put a release into `repository` and return its number; `server` is flipped as well when one is running.

    Raises ReleaseError, or Unavailable when the server does not answer; then nothing has changed.
    """
    release = Release.open(release_folder)
    release.verify()
    trial(release_folder)
    with _locked(repository) as staging:
        number = max(numbers_in_use(repository), default=0) + 1
        for contract in MODELS:
            _stage(contract, release, staging / contract.name / str(number), number)
        _flip(repository, staging, number, server)
        _prune(repository, number)
    return number


@contextmanager
def _locked(repository: Path) -> Iterator[Path]:
    """Hold the only right to publish; yields an empty staging folder beside the repository."""
    repository.mkdir(parents=True, exist_ok=True)
    staging = repository.parent / f".{repository.name}.staging"
    staging.mkdir(exist_ok=True)
    handle = os.open(staging, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ReleaseError(
            f"another publish into '{repository.name}' is under way; try again when it is done"
        ) from None
    try:
        _empty(staging)
        yield staging
    finally:
        _empty(staging)
        os.close(handle)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path)


def _stage(contract: ModelContract, release: Release, target: Path, number: int) -> None:
    target.mkdir(parents=True)
    code = model_repository() / contract.name / "1" / "model.py"
    if code.is_file():
        shutil.copyfile(code, target / "model.py")
        # A file where Python would put its cache: a folder that changes makes Triton load the version again.
        (target / "__pycache__").touch()
    for here, there in contract.files.items():
        if here == MANIFEST:
            release.manifest.numbered(number).write(target / MANIFEST)
        elif here.endswith("/"):
            _link_folder(release.folder / there, target / here)
        else:
            _link(release.folder / there, target / here)


def _link_folder(source: Path, target: Path) -> None:
    target.mkdir()
    for path in source.iterdir():
        _link(path, target / path.name)


def _link(source: Path, target: Path) -> None:
    """A hard link for what is large, so that all models map the same pages; a copy for what somebody may edit."""
    target.parent.mkdir(exist_ok=True)
    if source.stat().st_size < SMALL:
        shutil.copyfile(source, target)
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copyfile(source, target)


def _flip(repository: Path, staging: Path, number: int, server: Server | None) -> None:
    before = serving_release(repository)
    try:
        for contract in MODELS:
            _install(contract, repository, staging, number)
        if server:
            server.control.load([leaf.name for leaf in LEAVES], number)
            load_users(repository, server.redis_url, number)
        _write_config(RECOMMEND, repository, number)
        if server:
            server.control.load([RECOMMEND.name], number)
    except BaseException:
        _take_back(repository, number, before, server)
        raise


def _install(contract: ModelContract, repository: Path, staging: Path, number: int) -> None:
    folder = repository / contract.name
    folder.mkdir(exist_ok=True)
    if contract is not RECOMMEND:
        _write_config(contract, repository, number)
    (staging / contract.name / str(number)).rename(folder / str(number))


def _write_config(contract: ModelContract, repository: Path, number: int) -> None:
    """Replace a config in one step, and only when it differs: a changed file makes Triton load all versions again."""
    path, text = repository / contract.name / "config.pbtxt", model_config.text(contract, number)
    if path.is_file() and path.read_text("utf-8") == text:
        return
    staged = repository.parent / f".{repository.name}.staging" / f"{contract.name}.pbtxt"
    staged.write_text(text, "utf-8")
    staged.replace(path)


def _take_back(repository: Path, number: int, before: int | None, server: Server | None) -> None:
    if before is None:
        (repository / RECOMMEND.name / "config.pbtxt").unlink(missing_ok=True)
    else:
        _write_config(RECOMMEND, repository, before)
    for contract in MODELS:
        shutil.rmtree(repository / contract.name / str(number), ignore_errors=True)
    if server and before is not None:
        server.control.restore([m.name for m in MODELS])


def _prune(repository: Path, number: int) -> None:
    for contract in MODELS:
        versions = sorted(int(p.name) for p in (repository / contract.name).iterdir() if p.name.isdigit())
        for old in [v for v in versions if v != number][: -(KEPT - 1)]:
            shutil.rmtree(repository / contract.name / str(old))
