"""Publishing: a release folder becomes version N of every model, and the ensemble points to it last.

Everything is prepared beside the repository on the same file system and checked before a loader sees it; then folders
are renamed into place, the leaves are loaded, and replacing the ensemble's config is the flip. Whatever fails before
that is undone, and the release that served goes on serving.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from trident import model_config
from trident.contract import LEAVES, MODELS, RECOMMEND, USER_ENCODER, ModelContract
from trident.errors import ReleaseError, Unavailable
from trident.locations import model_repository
from trident.release import MANIFEST, Manifest, Release
from trident.repository import numbers_in_use, serving_release
from trident.settings import REDIS
from trident.state.feast import require_user
from trident.state.forget import forget_users
from trident.state.load import load_users
from trident.users import UserRows
from trident_export.publishing.control import Control
from trident_export.publishing.trial import trial

SMALL = 1 << 20  # bytes


@dataclass(frozen=True)
class Server:
    """A running server that serves the repository, the Redis that it asks, and where its user rows come from."""

    control: Control
    redis_url: str
    feature_source: str = REDIS


def publish(release_folder: Path, repository: Path, server: Server | None = None) -> int:
    """Put a release into `repository` and return its number; `server` is flipped as well when one is running.

    The release that served before is kept, to go back to. Raises ReleaseError, or Unavailable when the server does not
    answer; then nothing has changed.
    """
    release = Release.open(release_folder)
    release.verify()
    trial(release_folder)
    if server:
        _require_rows(release, server.feature_source)
    with _locked(repository), _staging(repository) as staging:
        before = serving_release(repository)
        if server and before is not None:
            server.control.require(RECOMMEND.name, before)
        number = max(numbers_in_use(repository), default=0) + 1
        _remove_all_but(repository, _with_predecessor(repository, before))
        for contract in MODELS:
            _stage(contract, release, staging / contract.name / str(number), number)
        with _undone_by_an_error(repository, number, server):
            _flip(repository, staging, number, server)
        back = before if before is not None and _schema(repository, before) else number  # not to another format
        _forget_pruned(repository, {back, number}, server)
    return number


def _require_rows(release: Release, source: str) -> None:
    """Raise Unavailable unless the rows of this release are where a server that has them from Feast will look."""
    users = UserRows.open(release.folder / "users")
    try:
        if len(users):
            require_user(source, release.manifest.feature_schema, users.ids[len(users) - 1].decode())
    except Unavailable as problem:
        how = "`trident features export`, `feast apply` and `feast materialize` come first"
        raise Unavailable(f"{problem}: {how}") from None


@contextmanager
def _locked(repository: Path) -> Iterator[None]:
    """Hold the only right to publish into `repository`, which is made when it is not there."""
    repository.mkdir(parents=True, exist_ok=True)
    handle = os.open(repository, os.O_RDONLY)
    try:
        _take_lock(handle, repository)
        yield
    finally:
        os.close(handle)
        with suppress(OSError):
            repository.rmdir()  # when it is still empty


def _take_lock(handle: int, repository: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ReleaseError(
            f"another publish into '{repository.name}' is under way; try again when it is done"
        ) from None


@contextmanager
def _staging(repository: Path) -> Iterator[Path]:
    """An empty folder beside the repository; what a killed publish left in it is removed."""
    staging = _staging_folder(repository)
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _staging_folder(repository: Path) -> Path:
    return repository.parent / f".{repository.name}.staging"


def _with_predecessor(repository: Path, serving: int | None) -> set[int]:
    """The serving release and the newest one before it."""
    if serving is None:
        return set()
    return {serving, max((n for n in numbers_in_use(repository) if n < serving), default=serving)}


def _remove_all_but(repository: Path, kept: set[int]) -> None:
    """Remove every other version folder: a newer one left by a killed publish would push the serving one out."""
    for number in numbers_in_use(repository) - kept:
        for contract in MODELS:
            shutil.rmtree(repository / contract.name / str(number), ignore_errors=True)


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
    for contract in MODELS:
        (repository / contract.name).mkdir(exist_ok=True)
        if contract is not RECOMMEND:
            _write_config(contract, repository, number)
        (staging / contract.name / str(number)).rename(repository / contract.name / str(number))
    if server:
        server.control.load([leaf.name for leaf in LEAVES], number)
        if server.feature_source == REDIS:
            load_users(repository, server.redis_url, number)
    _write_config(RECOMMEND, repository, number)
    if server:
        server.control.load([RECOMMEND.name], number)


def _write_config(contract: ModelContract, repository: Path, number: int) -> None:
    """Write a config only when it differs: a changed file makes Triton load all versions again."""
    path, text = _config(contract, repository), model_config.text(contract, number)
    if not path.is_file() or path.read_text("utf-8") != text:
        _replace(path, text, _staging_folder(repository))


def _config(contract: ModelContract, repository: Path) -> Path:
    return repository / contract.name / "config.pbtxt"


def _replace(path: Path, text: str, staging: Path) -> None:
    """Give a file a new content in one step."""
    draft = staging / f"{path.parent.name}.pbtxt"
    draft.write_text(text, "utf-8")
    draft.replace(path)


@contextmanager
def _undone_by_an_error(repository: Path, number: int, server: Server | None) -> Iterator[None]:
    """After an error: the configs as they were, version `number` gone, and the server told to look again."""
    configs = {contract.name: _config(contract, repository) for contract in MODELS}
    before = {name: path.read_text("utf-8") for name, path in configs.items() if path.is_file()}
    try:
        yield
    except BaseException:
        for name, path in configs.items():
            if name not in before:
                path.unlink(missing_ok=True)
            elif path.read_text("utf-8") != before[name]:
                _replace(path, before[name], _staging_folder(repository))
            shutil.rmtree(path.parent / str(number), ignore_errors=True)
            with suppress(OSError):
                path.parent.rmdir()  # when it was made for this release
        if server:
            server.control.restore(list(before))
        raise


def _forget_pruned(repository: Path, kept: set[int], server: Server | None) -> None:
    """Remove the releases that nothing goes back to, and the user rows that only they could read."""
    schemas = {n: _schema(repository, n) for n in numbers_in_use(repository)}
    _remove_all_but(repository, kept)
    for schema in {s for n, s in schemas.items() if n not in kept} - {schemas[n] for n in kept if n in schemas}:
        if server and schema:
            forget_users(server.redis_url, schema)


def _schema(repository: Path, number: int) -> str:
    """The feature schema of a release, "" when its folder is not whole."""
    try:
        return Manifest.read(repository / USER_ENCODER.name / str(number) / MANIFEST).feature_schema
    except ReleaseError:
        return ""
