"""How long a rollback takes: from the start of the command to the first answer of the old release.

    .venv/bin/trident build --source scale --items 1000000 --out build/scale
    .venv/bin/python benchmarks/rollback.py build/scale

Publishes the release twice, serves it, and runs `trident rollback` as a process of its own while a client asks without
a pause; then goes forward again, and so on. `docs/runbook.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from trident.release import Release
from trident.repository import serving_release
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident_client import Recommender
from trident_export.publishing import publish
from trident_export.publishing.control import Control
from trident_export.publishing.server import Server


def main() -> None:
    """Go back and forth and print the times."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("release", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    publish.examine = lambda *_: []  # type: ignore[assignment]  # not what is measured, and minutes long
    with tempfile.TemporaryDirectory(prefix="trident-rollback-", dir=options.release.parent) as folder:
        repository = Path(folder) / "repository"
        publish.publish(options.release, repository)
        with EmbeddedRedis() as redis, serving(repository, redis.url, patience=300) as server:
            publish.publish(options.release, repository, Server(Control(server.grpc, server.key), redis.url))
            timed = [once(repository, server) for _ in range(options.runs)]
    items = Release.open(options.release).manifest.items
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, {items:,} items, {options.runs} rollbacks")
    for n, what in enumerate(("until the first answer", "until the command ends")):
        seconds = [times[n] for times in timed]
        print(f"{what}: median {statistics.median(seconds):.2f} s, slowest {max(seconds):.2f} s")


def once(repository: Path, server: Serving) -> tuple[float, float]:
    """Seconds from the start of the command to the first answer of the other release, and to its end."""
    target = 3 - (serving_release(repository) or 0)
    first: list[float] = []
    waiting = threading.Thread(target=wait, args=(server.grpc, target, first))
    waiting.start()
    started = time.monotonic()
    command = [sys.executable, "-m", "trident.cli", "rollback", "--repository", str(repository), "--to", str(target)]
    subprocess.run(command, check=True, capture_output=True)
    ended = time.monotonic()
    waiting.join()
    return first[0] - started, ended - started


def wait(url: str, release: int, first: list[float]) -> None:
    """Ask until `release` answers."""
    with Recommender(url, deadline=10) as recommender:
        while recommender.recommend("u1", record=False).release != release:
            time.sleep(0.005)
    first.append(time.monotonic())


if __name__ == "__main__":
    main()
