"""A child process that can always be ended: politely, by force, or by a guard when we die first."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from trident.errors import SetupError

GUARD = """
read -r _
kill -s TERM -- "-$1" 2>/dev/null
n=0; while [ $n -lt 50 ] && kill -s 0 -- "-$1" 2>/dev/null; do sleep 0.1; n=$((n+1)); done
kill -s KILL -- "-$1" 2>/dev/null
rm -rf -- "$2"
[ -z "$3" ] || rm -f -- /dev/shm/"$3"*
"""
"""Waits for the end of a pipe that we hold, which comes with our death; then ends the process group and cleans up."""


class Child:
    """A process in a session of its own: Ctrl-C in the terminal reaches only us, and a stop reaches all its children.

    It works in `folder` (Python models can import from where the server works, so that must be a private place) and
    everything it prints goes to the file `log`. Should this process be killed, a guard ends the child, removes `folder`
    and, when `shm_prefix` is given, the shared memory of that prefix.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        folder: Path,
        env: Mapping[str, str] | None = None,
        shm_prefix: str = "",
    ) -> None:
        self.name = name
        self.shm_prefix = shm_prefix
        self._stopped = False
        with _signals_deferred():
            self.process = _start(name, command, log, folder, env)
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", str(self.process.pid), str(folder), shm_prefix],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id, which is its process group's too."""
        return self.process.pid

    @property
    def death(self) -> str:
        """How it ended, in words; "" while it runs."""
        code = self.process.poll()
        if code is None:
            return ""
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"

    def stop(self, patience: float = 15.0) -> None:
        """Send SIGTERM, wait `patience` seconds, then SIGKILL whatever of its process group is left. Safe to repeat."""
        if self._stopped:  # the number may belong to another process group by now
            return
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(patience)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self._remove_shared_memory()
        self._dismiss_guard()
        self._stopped = True

    def _remove_shared_memory(self) -> None:
        """Unlink the regions that a killed process left in /dev/shm."""
        if self.shm_prefix:
            for region in Path("/dev/shm").glob(f"{self.shm_prefix}*"):
                region.unlink(missing_ok=True)

    def _dismiss_guard(self) -> None:
        """End the guard before its pipe closes: there is nothing left to watch."""
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin is not None:
            self._guard.stdin.close()


def _start(
    name: str, command: Sequence[str | Path], log: Path, folder: Path, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    """Start `command` in `folder` as leader of a new session with its output appended to `log`."""
    try:
        with log.open("ab") as output:
            return subprocess.Popen(
                [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env,
                cwd=folder, start_new_session=True,
            )  # fmt: skip
    except OSError as error:
        raise SetupError(f"{name} cannot be started: {error.strerror or error}") from None


@contextlib.contextmanager
def _signals_deferred() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block is done: a child must not be born without its guard."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[int] = []
    stopping = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(s, lambda number, _: arrived.append(number)) for s in stopping]
    try:
        yield
    finally:
        for number, handler in zip(stopping, previous, strict=True):
            signal.signal(number, handler)
    for late in arrived:
        signal.raise_signal(late)
