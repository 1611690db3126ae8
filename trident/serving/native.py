"""Native libraries that wheels leave to the system: the C library, libpython and libgomp.

It needs the standard library alone, so that `python -m trident.serving.native` works before anything is installed.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import sysconfig
from pathlib import Path

from trident.errors import SetupError

GLIBC_NEEDED = (2, 35)
"""What the wheel of nvidia-pytriton is built for."""

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
SUPPORTED = ("3.10", "3.11", "3.12")
LIBPYTHON = f"libpython{PYTHON}.so.1.0"


def require_python() -> None:
    """Raise SetupError unless this is a CPython that the server's Python backend can embed."""
    if platform.python_implementation() != "CPython" or PYTHON not in SUPPORTED:
        raise SetupError(
            f"Python {PYTHON} ({platform.python_implementation()}) cannot serve: "
            f"use CPython {', '.join(SUPPORTED)}, for instance `make clean` and `make serve PYTHON=python3.11`"
        )


def glibc() -> tuple[int, int]:
    """The version of the running C library; (0, 0) when it is not glibc."""
    name, version = platform.libc_ver()
    if name != "glibc":
        return 0, 0
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def require_glibc() -> None:
    """Raise SetupError when the C library is too old for the server's wheel."""
    found, needed = glibc(), ".".join(map(str, GLIBC_NEEDED))
    if found < GLIBC_NEEDED:
        text = "another C library" if found == (0, 0) else f"glibc {found[0]}.{found[1]}"
        raise SetupError(
            f"the server needs glibc {needed} or newer and this system has {text}: "
            "use Debian 12, Ubuntu 22.04 or newer, or the container"
        )


def libpython_folder() -> Path | None:
    """The folder of this interpreter's shared library; None when only the system's own search finds it.

    Raises SetupError when it is nowhere: a Python that is linked statically comes without it.
    """
    for folder in _library_folders():
        if (folder / LIBPYTHON).exists():
            return folder
    if loadable(LIBPYTHON):
        return None
    raise SetupError(
        f"{LIBPYTHON} is missing, and the server's Python backend is linked with it: "
        f"install it (Debian, Ubuntu: apt install libpython{PYTHON}; Fedora: dnf install python{PYTHON}-libs; "
        "pyenv: PYTHON_CONFIGURE_OPTS=--enable-shared)"
    )


def _library_folders() -> list[Path]:
    """Where an interpreter keeps its shared library, the most telling first."""
    named = sysconfig.get_config_var("LIBDIR")
    beside = Path(os.path.realpath(sys.executable)).parent.parent / "lib"
    return [Path(p) for p in (named, Path(sys.base_prefix) / "lib", beside) if p]


def require_libgomp() -> None:
    """Raise SetupError when LightGBM's OpenMP library is missing."""
    if not loadable("libgomp.so.1"):
        raise SetupError(
            "libgomp.so.1 is missing, and LightGBM is linked with it: "
            "install it (Debian, Ubuntu: apt install libgomp1; Fedora: dnf install libgomp)"
        )


def loadable(library: str) -> bool:
    """Whether the system's dynamic linker finds `library`."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def main() -> int:
    """Check everything above, name all that is missing, and return the exit code."""
    problems = []
    for check in (require_python, require_glibc, libpython_folder, require_libgomp):
        try:
            check()
        except SetupError as error:
            problems.append(f"trident: {error}")
    print("\n".join(problems), end="\n" if problems else "", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
