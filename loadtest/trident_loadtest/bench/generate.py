"""Runs the sending processes and gathers what they noted."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.errors import Unavailable
from trident_loadtest.bench.samples import Samples, joined

HEAD_START = 0.2  # seconds between the word to start and the first request


@dataclass(frozen=True)
class Load:
    """Where to send, what, and when to give a request up; `processes` share the requests in turn."""

    url: str  # "host:port" of gRPC
    profile: Path
    requests: int  # lines of the profile
    give_up: float = 1.0  # seconds
    processes: int = 1

    def send(self, offsets: np.ndarray, first: int = 0, on_ready: Callable[[], object] | None = None) -> Samples:
        """Send a request at each of `offsets` seconds, from line `first` of the profile on and round again at its end.

        `on_ready` is called when everything is ready to be sent. Raises Unavailable when nothing can be sent.
        """
        with tempfile.TemporaryDirectory(prefix="trident-bench-") as name:
            folders = [self._plan(Path(name), offsets, first, part) for part in range(self.processes)]
            senders = [_start(folder) for folder in folders]
            try:
                for sender in senders:
                    _await_ready(sender)
                if on_ready:
                    on_ready()
                start = time.monotonic() + HEAD_START
                for sender in senders:
                    _tell(sender, f"{start}\n")
                for sender in senders:
                    sender.communicate()
                return joined([_gather(f, s, start) for f, s in zip(folders, senders, strict=True)])
            finally:
                for sender in senders:
                    sender.kill()
                    sender.wait()

    def _plan(self, folder: Path, offsets: np.ndarray, first: int, part: int) -> Path:
        own = folder / str(part)
        own.mkdir()
        lines = (first + np.arange(len(offsets))) % self.requests
        mine = slice(part, None, self.processes)
        np.savez(own / "plan.npz", offsets=offsets[mine], requests=lines[mine])
        plan = {"url": self.url, "profile": str(self.profile.resolve()), "give_up": self.give_up}
        (own / "plan.json").write_text(json.dumps(plan))
        return own


def _start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "trident_loadtest.bench.generator", str(folder)]
    with (folder / "stderr").open("w") as stderr:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True)


def _await_ready(sender: subprocess.Popen[str]) -> None:
    if sender.stdout is None or sender.stdout.readline() != "ready\n":
        sender.wait()
        raise Unavailable(f"no requests could be sent: {_last_words(Path(sender.args[-1]))}")  # type: ignore[index,arg-type]


def _tell(sender: subprocess.Popen[str], line: str) -> None:
    if sender.stdin is not None:
        sender.stdin.write(line)
        sender.stdin.flush()


def _gather(folder: Path, sender: subprocess.Popen[str], start: float) -> Samples:
    if sender.returncode or not (folder / "samples.json").is_file():
        raise Unavailable(f"the sending process ended with code {sender.returncode}: {_last_words(folder)}")
    arrays, rest = dict(np.load(folder / "samples.npz")), json.loads((folder / "samples.json").read_text())
    due = np.load(folder / "plan.npz")["offsets"] + start
    return Samples(due, **arrays, **{**rest, "errors": Counter(rest["errors"])})


def _last_words(folder: Path) -> str:
    lines = (folder / "stderr").read_text().strip().splitlines()
    return lines[-1] if lines else "it said nothing"
