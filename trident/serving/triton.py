"""The real tritonserver as a context manager: started, waited for, stopped without a trace."""

from __future__ import annotations

import contextlib
import http.client
import re
import secrets
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from trident import admission
from trident.errors import SetupError, TridentError, Unavailable
from trident.serving.control_key import HEADER, RESTRICTED
from trident.serving.drain import drain
from trident.serving.hidden import close_regions, hide
from trident.serving.installation import Installation
from trident.serving.log import decisive_lines
from trident.serving.model_control import ModelControl
from trident.serving.ports import HOST, Ports
from trident.serving.process import Child
from trident.serving.wheel import TritonWheel

SHARED_MEMORY = 8 << 20  # bytes that each Python process starts with: a batch of 8 users needs no growth
DRAIN = 10.0  # seconds that requests in flight get on stop
LOGGED = re.compile(rb"^[IWE]\d{4} ", re.MULTILINE)  # how a line of Triton's own log begins
HANG_UP = 2  # seconds that HTTP clients get to close idle connections; Triton refuses to end before


class TritonServer:
    """Serves `models` of `repository` until the context ends, by default from the wheel on 127.0.0.1.

    Its control APIs ask for `key`; without one given nobody has it but this object.
    It is ready when `probe` is. `env` is added to the server's environment. With `log` None the log lives as long as
    the server. Raises SetupError when this machine lacks something, Unavailable when the server dies or is not ready
    after `patience` seconds; both carry the decisive lines of the log.
    """

    def __init__(
        self,
        repository: Path,
        *,
        models: Sequence[str],
        probe: str,
        ports: Ports,
        key: str = "",
        installation: Installation | None = None,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        patience: float = 120.0,
    ) -> None:
        self.repository = Path(repository).resolve()
        self.models = tuple(models)
        self.probe = probe
        self.ports = ports
        self.key = key or secrets.token_hex(32)
        self.key_visible = True  # to all users of this machine
        self.installation = installation
        self.env = dict(env or {})
        self.log = log
        self.patience = patience

    def __enter__(self) -> TritonServer:
        found = self.installation or TritonWheel.find()
        self.ports = self.ports.settle()
        with contextlib.ExitStack() as stack:
            folder = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="trident-triton-", ignore_cleanup_errors=True))
            )
            self.log = _log_file(self.log or folder / "triton.log")
            prefix = f"trident_{secrets.token_hex(6)}_"
            command, env = self._command(found, folder, prefix), found.environment() | self.env
            env[admission.FILE] = str(folder / "under-way")
            self.child = stack.enter_context(
                Child("tritonserver", command, env=env, log=self.log, folder=folder, shm_prefix=prefix)
            )
            self._wait()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._stack:
            if not self.child.death:
                drain(ModelControl(self.http, DRAIN, self.key), DRAIN)

    @property
    def http(self) -> str:
        """Host and port for HTTP."""
        return f"{HOST}:{self.ports.http}"

    @property
    def grpc(self) -> str:
        """Host and port for gRPC."""
        return f"{HOST}:{self.ports.grpc}"

    @property
    def metrics(self) -> str:
        """Host and port for Prometheus."""
        return f"{HOST}:{self.ports.metrics}"

    def _command(self, found: Installation, folder: Path, prefix: str) -> list[str | Path]:
        """The command line: explicit model control, no guessing of configs."""
        shared = {
            "shm-region-prefix-name": prefix,
            "shm-default-byte-size": SHARED_MEMORY,
            "shm-growth-byte-size": SHARED_MEMORY,
        }
        return [
            found.server,
            f"--model-repository={self.repository}",
            f"--backend-directory={found.lay_out_backends(folder / 'backends')}",
            *(f"--backend-config=python,{key}={value}" for key, value in shared.items()),
            "--model-control-mode=explicit",
            *(f"--load-model={name}" for name in self.models),
            "--disable-auto-complete-config",
            "--strict-readiness=true",
            "--exit-on-error=true",
            f"--exit-timeout-secs={HANG_UP}",
            *(f"--{name}-address={found.address}" for name in ("http", "grpc", "metrics")),
            f"--http-port={self.ports.http}",
            f"--grpc-port={self.ports.grpc}",
            f"--metrics-port={self.ports.metrics}",
            *found.options,
            f"--http-restricted-api={','.join(RESTRICTED)}:{HEADER}={self.key}",
            f"--grpc-restricted-protocol={','.join(RESTRICTED)}:{HEADER}={self.key}",
        ]

    def _wait(self) -> None:
        """Wait until `probe` is ready."""
        end = time.monotonic() + self.patience
        while not self.ready():
            self._hide_key()
            if self.child.death or time.monotonic() > end:
                raise self.failure(self.child.death or f"was not ready after {self.patience:g} seconds")
            time.sleep(0.05)
        self._hide_key()
        self.close_regions()

    def close_regions(self) -> None:
        """Let nobody else on this machine read the requests; Python processes that start later need it again."""
        close_regions(self.child.shm_prefix)

    def _hide_key(self) -> None:
        """Take the key off the command line as soon as a line of the log tells that Triton has read it."""
        if self.key_visible and self.log and LOGGED.search(self.log.read_bytes()):
            self.key_visible = not hide(self.child.pid, self.key)

    def ready(self) -> bool:
        """Whether the server says that `probe` can answer."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(HOST, self.ports.http, timeout=2.0)
            with contextlib.closing(connection):
                connection.request("GET", f"/v2/models/{self.probe}/ready")
                return connection.getresponse().status == http.HTTPStatus.OK
        return False

    def failure(self, what: str) -> TridentError:
        """The error for "tritonserver `what`", with the log's reasons and advice where the reason is a known one."""
        reasons = decisive_lines(self.log) if self.log else ""
        for sign, advice in ADVICE.items():
            if sign in reasons:
                return SetupError(f"tritonserver {what}: {advice}: {reasons}")
        return Unavailable(f"tritonserver {what}: {reasons}")


ADVICE = {
    "already in use": "another process took the port meanwhile, try again or choose others",
    "cannot open shared object": "a native library is missing, `trident doctor` names it",
    "No space left on device": "/dev/shm is full, `trident doctor` shows its size (containers: --shm-size=1g)",
    "Unable to initialize shared memory": "/dev/shm is too small or full (containers: --shm-size=1g)",
}


def _log_file(path: Path) -> Path:
    """Make the log's folder and an empty log."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    except OSError as error:
        raise SetupError(f"the log file {path} cannot be written: {error.strerror or error}") from None
    return path
