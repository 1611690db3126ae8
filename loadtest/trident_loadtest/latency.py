"""How fast one client is answered: perf_analyzer against a server of its own, and where the time goes.

    python -m trident_loadtest.latency [REPOSITORY]

The load is closed: one request at a time, of all users of the release in a random order that is the same each time.
"""

from __future__ import annotations

import json
import os
import platform
import random
import sys
import tempfile
from pathlib import Path

import numpy as np

from trident.contract import USER_ENCODER, USER_ID
from trident.errors import TridentError
from trident.locations import DEFAULT_REPOSITORY
from trident.repository import serving_release
from trident.serving.serve import serving
from trident.users import UserRows
from trident_loadtest.perf_analyzer import Measurement, measure, prepare
from trident_loadtest.stage_times import StageTime, stage_times

SEED = 1
CLIENTS = 1


def run(repository: Path) -> tuple[Measurement, dict[str, StageTime]]:
    """Measure over gRPC with one client; the times of the stages are those of all requests of the run."""
    program = prepare()
    with tempfile.TemporaryDirectory() as folder:
        requests = Path(folder) / "requests.json"
        write_requests(requests, known_users(repository))
        with serving(repository) as server:
            before = stage_times(server.http, server.key)
            measured = measure(program, server.grpc, concurrency=CLIENTS, input_file=requests, key=server.key)
            after = stage_times(server.http, server.key)
    return measured, {model: after[model] - before[model] for model in after}


def known_users(repository: Path) -> list[str]:
    """The ids of all users of the serving release."""
    rows = UserRows.open(repository / USER_ENCODER.name / str(serving_release(repository)) / "users")
    return [user.decode() for user in rows.ids.take(np.arange(len(rows)))]


def write_requests(path: Path, users: list[str]) -> None:
    """Write perf_analyzer's input file: one request with nothing but a user id for each of `users`, shuffled."""
    shuffled = random.Random(SEED).sample(users, len(users))
    data = [{USER_ID.name: {"content": [user], "shape": [1, 1]}} for user in shuffled]
    path.write_text(json.dumps({"data": data}))


def machine() -> str:
    """Processor and number of cores, for a table of figures."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    name = names[0].split(":")[1].strip() if names else platform.machine()
    return f"{len(os.sched_getaffinity(0))} cores of {name}"


def main(repository: Path) -> None:
    """Print the measurement and a row per model."""
    measured, stages = run(repository)
    print(f"{machine()}, gRPC, {CLIENTS} client, perf_analyzer on the same machine")
    print(f"{measured.throughput:.0f} requests/s", end="")
    for name in ("p50", "p90", "p95", "p99"):
        print(f", {name} {getattr(measured, f'{name}_ms'):.1f} ms", end="")
    print()
    for model, spent in stages.items():
        print(f"  {model:17} {spent.mean_ms:6.2f} ms in {spent.requests} requests")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_REPOSITORY)
    except TridentError as error:
        sys.exit(f"trident: {error}")
