"""How long `recommend` takes for a user whose embedding is not cached, with the user row from Redis and from Feast.

    make feast
    .venv/bin/python benchmarks/feature_source.py --release build/release

Starts a Redis, a Feast feature server with the rows of the release, and one Triton after the other: with the rows in
Redis, and with Feast as the source. One client over gRPC, closed loop. Each user is asked for twice: the first time is
a miss, the second one is not. `docs/feature_store.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from trident.errors import SetupError
from trident.release import Release
from trident.serving.ports import Ports
from trident.serving.process import Child
from trident.serving.redis import executable
from trident.serving.serve import serving
from trident.state.feast import FeastClient, require_feast
from trident.users import UserRows
from trident_client import Recommender
from trident_export.feast_repository import write
from trident_export.feast_rows import export_user_rows
from trident_export.publishing.publish import publish

WARM_UP = 20


def main() -> None:
    """Measure both sources and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--release", type=Path, default=Path("build/release"))
    parser.add_argument("--feast", type=Path, default=Path(".venv-feast/bin"), help="where the command `feast` lies")
    parser.add_argument("--users", type=int, default=300)
    options = parser.parse_args()
    release = Release.open(options.release)
    users = UserRows.open(release.folder / "users")
    chosen = np.random.default_rng(0).permutation(len(users))[: options.users + WARM_UP].tolist()
    names = [users.ids[row].decode() for row in chosen]
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, {release.manifest.items:,} items")
    with tempfile.TemporaryDirectory(prefix="trident-feast-") as folder:
        publish(options.release, Path(folder) / "served")
        measure("Redis", Path(folder) / "served", "redis", names)
        with feature_server(release, Path(folder), options.feast) as port:
            calls(port, release, names)
            measure("Feast", Path(folder) / "served", f"feast://127.0.0.1:{port}", names)


def calls(port: int, release: Release, names: list[str]) -> None:
    """Time the calls to the feature server alone."""
    client = FeastClient("127.0.0.1", port, 5.0, release.manifest.feature_schema)
    for size in (1, 8, 64):
        groups = [names[start : start + size] for start in range(0, len(names) - size + 1, size)]
        show(f"Feast's call alone, {size} users", [timed(client.read, group) for group in groups])
    client.close()


def measure(name: str, repository: Path, source: str, names: list[str]) -> None:
    """Serve from one source, ask for every user twice, print the times."""
    with serving(repository, feature_source=source) as server, Recommender(server.grpc, deadline=10) as recommender:
        first, second, short = [], [], 0
        for user in names:
            start = time.perf_counter()
            answer = recommender.recommend(user, record=False)
            first.append(time.perf_counter() - start)
            short += bool(answer.degraded)
            second.append(timed(lambda user: recommender.recommend(user, record=False), user))
    show(f"{name}: miss", first[WARM_UP:])
    show(f"{name}: embedding cached", second[WARM_UP:])
    print(f"{name}: {short} of {len(names)} first answers short of something")


def timed(call, *arguments: object) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call(*arguments)
    return time.perf_counter() - start


def show(what: str, seconds: list[float]) -> None:
    """Print percentiles in milliseconds."""
    p50, p90, p99 = np.percentile(np.array(seconds) * 1000, [50, 90, 99])
    print(f"{what:34}{len(seconds):6} calls   p50 {p50:6.2f}   p90 {p90:6.2f}   p99 {p99:6.2f} ms")


@contextmanager
def feature_server(release: Release, folder: Path, feast: Path) -> Iterator[int]:
    """Feast over a Redis of its own with the rows of the release; yields its port."""
    ports, store = Ports(0, 0, 0).settle(), folder / "redis"
    store.mkdir()
    write(folder / "feast")
    export_user_rows(release, folder / "feast" / "data")
    env = os.environ | {"FEAST_REDIS": f"127.0.0.1:{ports.http}", "HOME": str(folder)}
    redis = [executable(), "--port", str(ports.http), "--bind", "127.0.0.1", "--save", "", "--dir", store]
    command = [shutil.which("feast", path=str(feast.resolve())) or "feast", "-c", folder / "feast"]
    with Child("redis-server", redis, log=folder / "redis.log", folder=store):
        for step in (["apply"], ["materialize", "1970-01-01T00:00:00", "2100-01-01T00:00:00"]):
            subprocess.run([*command, *step], env=env, check=True, stdout=subprocess.DEVNULL)
        serve = [*command, "serve", "-p", str(ports.grpc), "--no-access-log", "--max-requests", "0"]
        with Child("feast", serve, log=folder / "feast.log", folder=folder, env=env):
            wait_for(ports.grpc)
            yield ports.grpc


def wait_for(port: int) -> None:
    """Wait a minute at most until the feature server answers."""
    for _ in range(300):
        try:
            return require_feast("127.0.0.1", port)
        except SetupError:
            time.sleep(0.2)
    require_feast("127.0.0.1", port)


if __name__ == "__main__":
    main()
