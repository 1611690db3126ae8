"""Preparing a release beside the repository: copied once, then linked into a version folder for each model.

The copy is ours alone: what happens to the release folder after its digests were compared changes nothing. All models
link to the same files, so that they map the same pages.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trident.contract import MODELS, ModelContract
from trident.errors import ReleaseError, reason
from trident.locations import model_repository
from trident.release import MANIFEST, Release, file_list
from trident_export.publishing import places

RELEASE, VERSIONS, AWAY, REMOVED = "release", "versions", "away", "removed"
"""Folders of the staging folder: the copy; version folders as {model}/{number}; such that may come back; and not."""


def empty(repository: Path) -> Path:
    """The staging folder, new."""
    folder = places.staging(repository)
    remove(repository)
    folder.mkdir()
    return folder


def remove(repository: Path) -> None:
    """Remove the staging folder with all that is in it."""
    shutil.rmtree(places.staging(repository), ignore_errors=True)


def copy(release_folder: Path, repository: Path) -> Release:
    """Copy a release into the staging folder and open the copy.

    Raises ReleaseError when the disk does not have the room, or when it holds what has no place in a release.
    """
    names = file_list(release_folder)
    size, free = sum((release_folder / n).lstat().st_size for n in names), _free(repository)
    if size > free:
        raise ReleaseError(
            f"the disk of '{repository.name}' is full: the release needs {size:,} bytes, {free:,} are free; "
            "nothing was changed"
        )
    target = places.staging(repository) / RELEASE
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        _copy_file(release_folder / name, target / name)
    return Release.open(target)


def _copy_file(source: Path, target: Path) -> None:
    """Copy within the kernel, which on some file systems shares the blocks; a link stays one, to be refused."""
    if source.is_symlink():
        shutil.copyfile(source, target, follow_symlinks=False)
        return
    with source.open("rb") as given, target.open("wb") as taken:
        try:
            while os.copy_file_range(given.fileno(), taken.fileno(), 1 << 30):
                pass
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM):
                raise
            given.seek(taken.seek(0, os.SEEK_END))
            shutil.copyfileobj(given, taken, 1 << 20)


def arrange(release: Release, repository: Path, number: int) -> None:
    """Make version folder `number` of every model out of the copy."""
    release.manifest.numbered(number).write(release.folder / MANIFEST)
    for contract in MODELS:
        _version(contract, release.folder, places.staging(repository) / VERSIONS / contract.name / str(number))


def _version(contract: ModelContract, copied: Path, target: Path) -> None:
    target.mkdir(parents=True)
    code = model_repository() / contract.name / "1" / "model.py"
    if code.is_file():
        shutil.copyfile(code, target / "model.py")
        # A file where Python would put its cache: a folder that changes makes Triton load the version again.
        (target / "__pycache__").touch()
    for here, there in contract.files.items():
        names = file_list(copied / there) if here.endswith("/") else [""]
        for name in names:
            place = target / here / name if name else target / here
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(copied / there / name if name else copied / there, place)


def drop_copy(repository: Path) -> None:
    """Remove the copy, whose files are linked into the version folders by now.

    Later it would be too late: the number of links is part of what Triton takes for a change of a file (its ctime), so
    that the next load would start the processes of this version again.
    """
    shutil.rmtree(places.staging(repository) / RELEASE, ignore_errors=True)


def sync(repository: Path) -> None:
    """Have the file system keep the copy and the version folders."""
    seen: set[int] = set()
    for path in sorted(places.staging(repository).rglob("*"), reverse=True):
        inode = path.stat().st_ino
        if inode not in seen:
            places.sync(path)
        seen.add(inode)


def move_out(repository: Path, numbers: set[int], into: str) -> None:
    """Move version folders out of the repository, each in one step, so that no model is ever seen without a file."""
    for contract in MODELS:
        for number in numbers:
            folder = repository / contract.name / str(number)
            if folder.is_dir():
                target = places.staging(repository) / into / contract.name / str(number)
                target.parent.mkdir(parents=True, exist_ok=True)
                folder.rename(target)


def move_back(repository: Path) -> None:
    """Move the version folders that were put away back to where they were."""
    for folder in sorted((places.staging(repository) / AWAY).glob("*/*")):
        folder.rename(repository / folder.parent.name / folder.name)


@contextmanager
def disk_errors(repository: Path) -> Iterator[None]:
    """What the operating system refuses becomes a ReleaseError; of a full disk it says how much is free."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ReleaseError(
                f"the disk of '{repository.name}' is full: {reason(error)}, {_free(repository):,} bytes are free; "
                "nothing was changed: make room and publish again"
            ) from None
        raise ReleaseError(f"the repository '{repository.name}': {reason(error)}") from None


def _free(repository: Path) -> int:
    return shutil.disk_usage(repository.resolve().parent).free
