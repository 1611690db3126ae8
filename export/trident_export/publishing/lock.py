"""One publisher at a time: a lock file beside the repository that says who holds it.

The lock is the kernel's, so that it ends with the process that holds it, however that ends; on a shared file system it
holds between machines. What the file says is for people.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path

from trident.errors import ReleaseError
from trident_export.publishing.places import beside


@contextmanager
def locked(repository: Path) -> Iterator[None]:
    """Hold the only right to change what `repository` serves; it is made when it is not there.

    Raises ReleaseError that says who holds it. A repository that is still empty afterwards is removed again.
    """
    repository.mkdir(parents=True, exist_ok=True)
    path = beside(repository, "lock")
    try:
        handle = _take(path, repository.resolve().name)
        try:
            _sign(handle)
            yield
        finally:
            path.unlink(missing_ok=True)
            os.close(handle)
    finally:
        with suppress(OSError):
            repository.rmdir()  # when it is still empty


def who() -> str:
    """This user on this machine."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    """The time as people and machines read it: ISO 8601, UTC, whole seconds."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _take(path: Path, name: str) -> int:
    """Lock the file that lies at `path` now: the last holder may just have removed the one that was opened."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _lies_at(path, handle):
                return handle
            os.close(handle)
        except BlockingIOError:
            holder = _holder(handle)
            os.close(handle)
            raise ReleaseError(
                f"another publish, rollback or canary of '{name}' is under way ({holder}); try again when it is done"
            ) from None


def _lies_at(path: Path, handle: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _sign(handle: int) -> None:
    os.ftruncate(handle, 0)
    signature = {"who": who(), "pid": os.getpid(), "since": now()}
    with suppress(OSError):  # a full disk shows where it matters
        os.pwrite(handle, json.dumps(signature).encode(), 0)


def _holder(handle: int) -> str:
    try:
        signature = json.loads(os.pread(handle, 4096, 0))
        return f"{signature['who']}, process {signature['pid']}, since {signature['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "which has not signed yet"
