"""The real `tritonserver` inside the wheel of nvidia-pytriton, and the backend directory that it needs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from trident import locations
from trident.errors import SetupError
from trident.serving import native
from trident.serving.ports import HOST

INSTALL = "pip install 'trident-recommender[serve]'"


@dataclass(frozen=True)
class TritonWheel:
    """Where the parts of the server lie, and the folder of libpython unless the system finds it by itself."""

    package: Path
    libraries: Path
    libpython: Path | None
    address: ClassVar[str] = HOST  # it has no later security fixes
    options: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def find(cls) -> TritonWheel:
        """Locate the server for this interpreter; raise SetupError that says what is missing and what to install."""
        native.require_python()
        native.require_glibc()
        spec = importlib.util.find_spec("pytriton")
        if spec is None or not spec.submodule_search_locations:
            raise SetupError(f"the Triton server is not installed (wheel nvidia-pytriton): {INSTALL}")
        require_old_numpy()
        package = Path(spec.submodule_search_locations[0])
        wheel = cls(package, package.parent / "nvidia_pytriton.libs", native.libpython_folder())
        for part in (wheel.server, wheel.stub, wheel.libraries, wheel.python_backend):
            if not part.exists():
                raise SetupError(f"the wheel nvidia-pytriton lacks {part.name} for Python {native.PYTHON}: {INSTALL}")
        return wheel

    @property
    def server(self) -> Path:
        """The executable."""
        return self.package / "tritonserver/bin/tritonserver"

    @property
    def python_backend(self) -> Path:
        """The folder of the Python backend."""
        return self.package / "tritonserver/backends/python"

    @property
    def stub(self) -> Path:
        """The program that runs Python models, built for this interpreter's version."""
        return self.package / "tritonserver/python_backend_stubs" / native.PYTHON / "triton_python_backend_stub"

    def lay_out_backends(self, folder: Path) -> Path:
        """Fill `folder` with the Python backend, its stub and our stand-ins, and return it.

        Copies, because Triton refuses a library that a link leads out of the folder.
        """
        python = folder / "python"
        python.mkdir(parents=True)
        for part in (*self.python_backend.iterdir(), self.stub):
            if part.name != "__pycache__":
                shutil.copy(part, python)
        for backend in locations.backends().iterdir():
            if (backend / "model.py").is_file():
                shutil.copytree(backend, folder / backend.name, ignore=shutil.ignore_patterns("__pycache__"))
        return folder

    def environment(self) -> dict[str, str]:
        """This process's environment with what the server and its stubs need to find their libraries and packages."""
        libraries = [self.libraries, self.libpython, os.environ.get("LD_LIBRARY_PATH")]
        search = [Path(sys.executable).parent, os.environ.get("PATH")]
        return os.environ | {
            "LD_LIBRARY_PATH": os.pathsep.join(str(p) for p in libraries if p),
            "PATH": os.pathsep.join(str(p) for p in search if p),  # the stub finds its packages through python3 there
        }


def require_old_numpy() -> None:
    """Raise SetupError when numpy is missing or 2 and newer."""
    version = numpy_version()
    if not version:
        raise SetupError(f"numpy is not installed: {INSTALL}")
    if int(version.split(".")[0]) >= 2:
        raise SetupError(
            f"numpy {version} is too new: with numpy 2 every tensor from a Python model comes back empty: "
            "pip install 'numpy<2'"
        )


def numpy_version() -> str:
    """The installed version; "" when there is none."""
    try:
        return importlib.metadata.version("numpy")
    except importlib.metadata.PackageNotFoundError:
        return ""
