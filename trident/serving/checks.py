"""What `trident doctor` looks at: each check returns one row, and a row that is not fine says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from trident.errors import SetupError
from trident.extras import install
from trident.serving import native
from trident.serving.ports import Ports, is_free, owner
from trident.serving.redis import executable, require_answer, without_password
from trident.serving.wheel import numpy_version, require_old_numpy

State = Literal["ok", "note", "broken"]
GIB = 1 << 30
LEAST_MEMORY, LEAST_DISK, LEAST_SHARED_MEMORY = 3 * GIB, 3 * GIB, 128 << 20

SERVE_WHEELS = ("nvidia-pytriton", "tritonclient", "faiss-cpu", "numba", "onnxruntime", "redis", "treelite")
EXPORT_WHEELS = ("ibis-framework", "lightgbm", "onnx", "pyarrow", "torch")


@dataclass(frozen=True)
class Check:
    """One row: `broken` stops serving or building, `note` is worth knowing."""

    name: str
    state: State
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def run() -> list[Check]:
    """Run every check."""
    return [row for check in CHECKS for row in check()]


def healthy(rows: list[Check]) -> bool:
    """Whether nothing is broken."""
    return all(row.state != "broken" for row in rows)


def print_table(rows: list[Check]) -> None:
    """Print the rows for people."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    colours = {"ok": "green", "note": "yellow", "broken": "red"}
    table = Table("check", "state", "found", "what to do", box=None, pad_edge=False)
    for row in rows:
        table.add_row(row.name, Text(row.state, style=colours[row.state]), Text(row.found), Text(row.advice))
    Console().print(table)


def _required(name: str, found: str, requirement: Callable[[], object], missing: State = "broken") -> Check:
    """A row that is fine unless `requirement` raises SetupError."""
    try:
        requirement()
    except SetupError as error:
        return Check(name, missing, found, str(error))
    return Check(name, "ok", found)


def _python() -> Iterator[Check]:
    yield _required("Python", f"{native.PYTHON} at {sys.executable}", native.require_python)
    yield _required("libpython", native.LIBPYTHON, native.libpython_folder)


def _libraries() -> Iterator[Check]:
    yield _required("glibc", ".".join(map(str, native.glibc())), native.require_glibc)
    needed: State = "broken" if _version("lightgbm") else "note"
    yield _required("libgomp", "libgomp.so.1", native.require_libgomp, needed)


def _numpy() -> Iterator[Check]:
    yield _required("numpy < 2", numpy_version() or "missing", require_old_numpy)


def _wheels() -> Iterator[Check]:
    for extra, names, state in (("serve", SERVE_WHEELS, "broken"), ("export", EXPORT_WHEELS, "note")):
        for name in names:
            version = _version(name)
            yield Check(name, "ok", version) if version else _absent(name, extra, state)  # type: ignore[arg-type]


def _absent(name: str, extra: str, state: State) -> Check:
    needed = "" if extra == "serve" else "`trident build` needs it: "
    return Check(name, state, "not installed", needed + install(extra))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _ports() -> Iterator[Check]:
    for name, port in vars(Ports()).items():
        if is_free(port):
            yield Check(f"port {port}", "ok", "free")
        else:
            yield Check(
                f"port {port}", "note", f"taken by {owner(port) or 'another process'}", f"serve with --{name}-port"
            )


def _redis() -> Iterator[Check]:
    if url := os.environ.get("REDIS_URL"):
        yield _required("Redis", without_password(url), lambda: require_answer(url))
    else:
        yield _required("Redis", "embedded redis-server", _redis_server_runs)


def _redis_server_runs() -> None:
    """Raise SetupError unless the embedded binary starts on this system."""
    try:
        subprocess.run([executable(), "--version"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(
            f"the embedded redis-server does not run here ({error}): set REDIS_URL to a running one"
        ) from None


def _machine() -> Iterator[Check]:
    cores = len(os.sched_getaffinity(0))
    yield Check("cores", "ok" if cores > 1 else "note", str(cores), "" if cores > 1 else "two or more answer faster")
    yield _space("memory", _available_memory(), LEAST_MEMORY, "note", "close other programs or use a larger machine")
    yield _space(
        "disk", shutil.disk_usage(Path.cwd()).free, LEAST_DISK, "note", "free some space before `trident build`"
    )
    shared = Path("/dev/shm")
    free = shutil.disk_usage(shared).free if shared.is_dir() else 0
    yield _space("/dev/shm", free, LEAST_SHARED_MEMORY, "broken", "in a container use --shm-size=1g")


def _space(name: str, free: int, least: int, otherwise: State, advice: str) -> Check:
    """A row about free bytes."""
    enough = free >= least
    found = f"{free / GIB:.1f} GiB free"
    wanted = "" if enough else f"{least / GIB:.3g} GiB or more is better: {advice}"
    return Check(name, "ok" if enough else otherwise, found, wanted)


def _available_memory() -> int:
    """Bytes that new processes can have."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return 0


CHECKS: tuple[Callable[[], Iterator[Check]], ...] = (_python, _libraries, _numpy, _wheels, _ports, _redis, _machine)
