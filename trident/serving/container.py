"""The entry point of the container image: `python -m trident.serving.container`.

It does what `trident serve` does, with the tritonserver of the official container: it puts the user rows into Redis,
makes the control key beside the repository when there is none, sends one real request, starts Python processes that die
again, and stops without losing a request.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trident.errors import SetupError, TridentError
from trident.serving.ports import Ports
from trident.serving.serve import Serving, serve_until_stopped, serving
from trident.settings import REDIS

ROOT = Path("/opt/tritonserver")
EVERYWHERE = "0.0.0.0"
REPOSITORY = Path("/srv/trident/repository")
PATIENCE = 300.0  # seconds: an index of ten million items goes onto a card first
POLL = 0.2  # seconds


@dataclass(frozen=True)
class TritonContainer:
    """The server of the container, which listens on all addresses: what may reach it is up to the network around it."""

    root: Path
    config: str = ""  # which `configs/NAME.pbtxt` wins over `config.pbtxt`
    address: str = EVERYWHERE

    @classmethod
    def find(cls, root: Path = ROOT) -> TritonContainer:
        """Look for the server; raise SetupError where this is not the container. TRIDENT_CONFIG names the configs."""
        found = cls(root, os.environ.get("TRIDENT_CONFIG", ""))
        if not os.access(found.server, os.X_OK):
            raise SetupError(
                f"no {found.server}: this runs in the image of the Dockerfile, elsewhere `trident serve` does"
            )
        return found

    @property
    def server(self) -> Path:
        """The executable."""
        return self.root / "bin" / "tritonserver"

    @property
    def options(self) -> list[str]:
        """The choice of configs."""
        return [f"--model-config-name={self.config}"] if self.config else []

    def lay_out_backends(self, folder: Path) -> Path:
        """The backends as they lie in the image."""
        return self.root / "backends"

    def environment(self) -> dict[str, str]:
        """That of this process: the image has set PATH so that the Python processes find our packages."""
        return dict(os.environ)


def main(root: Path = ROOT, ports: Ports | None = None) -> None:
    """Serve TRIDENT_REPOSITORY with the Redis of REDIS_URL until SIGTERM; the server's log goes to stderr."""
    redis_url = os.environ.get("REDIS_URL", "")
    if not redis_url:
        raise SetupError("REDIS_URL: expected the address of a Redis, like redis://redis:6379/0, got nothing")
    installation = TritonContainer.find(root)
    with _log() as log:
        running = serving(
            Path(os.environ.get("TRIDENT_REPOSITORY", REPOSITORY)), redis_url, ports or Ports(),
            feature_source=os.environ.get("FEATURE_SOURCE", REDIS), installation=installation, log=log,
            patience=PATIENCE,
        )  # fmt: skip
        serve_until_stopped(running, _announce)


def _announce(running: Serving) -> None:
    print(f"trident: ready, HTTP on {running.http.rpartition(':')[2]}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _log() -> Iterator[Path]:
    """A file for the server's log, which is copied to stderr as it grows: the server cannot write to both."""
    with tempfile.TemporaryDirectory(prefix="trident-log-") as folder:
        path, ended = Path(folder) / "triton.log", threading.Event()
        path.touch()
        thread = threading.Thread(target=_copy, args=(path, ended))
        thread.start()
        try:
            yield path
        finally:
            ended.set()
            thread.join()


def _copy(path: Path, ended: threading.Event) -> None:
    with path.open("rb") as log:
        while True:
            last = ended.wait(POLL)
            shutil.copyfileobj(log, sys.stderr.buffer)
            sys.stderr.buffer.flush()
            if last:
                return


if __name__ == "__main__":
    try:
        main()
    except TridentError as error:
        sys.exit(f"trident: {error}")
