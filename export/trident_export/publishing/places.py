"""Where publishing keeps its own files: beside the repository, on the same file system, never inside it."""

from __future__ import annotations

import os
from pathlib import Path

from trident.errors import ReleaseError


def beside(repository: Path, name: str) -> Path:
    """`.{repository}.{name}` beside the repository; a link to a repository counts as the place that it leads to."""
    repository = repository.resolve()
    return repository.parent / f".{repository.name}.{name}"


def staging(repository: Path) -> Path:
    """The folder in which releases are prepared, and into which folders are moved before they are removed."""
    return beside(repository, "staging")


def require_one_file_system(repository: Path) -> None:
    """Raise ReleaseError unless a rename can move a folder from beside the repository into it."""
    repository = repository.resolve()
    if repository.stat().st_dev != repository.parent.stat().st_dev:
        raise ReleaseError(
            f"'{repository.name}' is a mount point, so that nothing beside it can be renamed into it: "
            "mount the folder above it instead"
        )


def sync(path: Path) -> None:
    """Have the file system keep a file or the entries of a folder, whatever happens to the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path: Path, text: str, draft: Path, lasting: bool = True) -> None:
    """Give a file a new content in one step; `draft` is a free place on the same file system.

    With `lasting` it is on the disk afterwards, whatever happens to the machine.
    """
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            if lasting:
                os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    if lasting:
        sync(path.parent)
