"""The key to the control APIs of a server: it lies beside the model repository, for its user alone.

`trident serve` makes it when there is none. Whoever can read it can make the server load and unload models, which runs
their code; a caller of `recommend` never needs it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from pathlib import Path

from trident.errors import SetupError

RESTRICTED = ("model-repository", "shared-memory", "model-config", "logging", "trace", "statistics")
"""The APIs of Triton that ask for the key, on both protocols; health, metadata and inference stay open."""

HEADER = "trident-control-key"
"""The HTTP header that carries the key."""

GRPC_HEADER = f"triton-grpc-protocol-{HEADER}"
"""The gRPC metadata that carries it."""

BYTES = 32
MOST = 256  # characters
_KEY = re.compile(r"[A-Za-z0-9_-]{32,256}")
_REFUSAL = "is restricted, expecting header"


def key_file(repository: Path) -> Path:
    """Where the key of the server of `repository` lies."""
    repository = Path(repository).resolve()
    return repository.parent / f".{repository.name}.key"


def read_key(place: Path) -> str:
    """The key at `place`, a key file or a model repository; "" when there is none.

    Raises SetupError for a link, for a file that others may read or write, and for what is no key.
    """
    return _read(key_file(place) if Path(place).is_dir() else Path(place))


def make_key(repository: Path) -> str:
    """The key of the server of `repository`, made when there is none: 64 hexadecimal digits, file mode 600.

    Of several that make it at once all get the same. Raises SetupError when it cannot be read or written.
    """
    path = key_file(repository)
    if key := _read(path):
        return key
    key, draft = secrets.token_hex(BYTES), path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(draft, key)
        os.link(draft, path)
    except FileExistsError:  # another one was faster, and its file is whole
        return _read(path)
    except OSError as error:
        raise _wrong(path, f"cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
    return key


def http_headers(key: str) -> dict[str, str]:
    """What a request to a control API carries over HTTP."""
    return {HEADER: key} if key else {}


def grpc_headers(key: str) -> dict[str, str]:
    """What a call of a control API carries over gRPC."""
    return {GRPC_HEADER: key} if key else {}


def explained(reason: str) -> str:
    """Triton's reason for a refusal, with what to do where the key was missing or wrong."""
    if _REFUSAL not in reason:
        return reason
    return f"the control key is missing or not that of the server, which lies beside its repository: {reason}"


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise _wrong(path, "is a link" if error.errno == errno.ELOOP else f"cannot be read: {error.strerror}") from None
    try:
        _require_private(path, os.fstat(descriptor))
        text = os.read(descriptor, MOST + 2).decode("ascii", "replace").strip()
    finally:
        os.close(descriptor)
    if not _KEY.fullmatch(text):
        got = "empty" if not text else f"no key: expected 32 to {MOST} letters, digits, '-' and '_'"
        raise _wrong(path, f"is {got}")
    return text


def _write_new(path: Path, key: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{key}\n")
        file.flush()
        os.fsync(descriptor)


def _require_private(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _wrong(path, "is no plain file")
    if found.st_uid != os.geteuid():
        raise _wrong(path, f"belongs to user {found.st_uid}, expected {os.geteuid()}")
    if mode := stat.S_IMODE(found.st_mode) & 0o077:
        raise _wrong(path, f"has mode {stat.S_IMODE(found.st_mode):o}, expected 600: others may open it ({mode:o})")


def _wrong(path: Path, what: str) -> SetupError:
    how = "remove it and start the server again for a new one, or `chmod 600` it when nobody else has seen it"
    return SetupError(f"the control key {path} {what}: {how}")
