"""How long `trident items set` takes to reach the answers: a real server, a real Redis, 100 items one after another.

    python benchmarks/live_items.py [REPOSITORY] [--times 100]

For each item a command line sets it out of stock while a client asks the same question every 10 ms. Two times are
taken until the first answer without the item: from the start of the command, and from the moment at which Redis had the
change. After it 20 more answers are asked for, none of which may hold the item. Exit code 1 when one does, or when one
time is over a second. `docs/benchmarks/live_items.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trident.contract import USER_ENCODER
from trident.errors import TridentError
from trident.live.updates import STREAM, ItemUpdates
from trident.locations import DEFAULT_REPOSITORY
from trident.repository import serving_release
from trident.serving.serve import serving
from trident.state.connection import connect
from trident.users import UserRows
from trident_client import Recommender
from trident_client.results import Recommendation
from trident_loadtest.latency import machine

TRIDENT = (sys.executable, "-m", "trident.cli")
AFTERWARDS = 20
PAUSE = 0.01  # seconds between two questions: the start of the command wants a core as well
LIMIT = 1.0  # seconds


@dataclass(frozen=True)
class Times:
    """Seconds until the first answer without the item; `late` answers held it again afterwards."""

    from_command: float
    from_redis: float
    late: int


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("repository", nargs="?", type=Path, default=DEFAULT_REPOSITORY)
    parser.add_argument("--times", type=int, default=100)
    options = parser.parse_args()
    try:
        measured = run(options.repository, options.times)
    except TridentError as error:
        sys.exit(f"trident: {error}")
    print(f"{machine()}, {len(measured)} items, one client over gRPC")
    ok = report("from the start of the command", [times.from_command for times in measured])
    ok &= report("from the entry in Redis", [times.from_redis for times in measured])
    late = sum(times.late for times in measured)
    print(f"answers that held an item again afterwards: {late} of {AFTERWARDS * len(measured)}")
    return int(not ok or late > 0)


def run(repository: Path, times: int) -> list[Times]:
    """Serve `repository` and take one item after the other out of stock, each for another user, and put it back."""
    rows = UserRows.open(repository / USER_ENCODER.name / str(serving_release(repository)) / "users")
    users = [rows.ids[i % len(rows)].decode() for i in range(times)]
    with serving(repository) as server, Recommender(server.grpc, deadline=5) as client:
        updates = ItemUpdates(connect(server.redis_url, 5.0))
        return [one(lambda user=user: client.recommend(user, record=False), repository, updates) for user in users]


def one(ask: Callable[[], Recommendation], repository: Path, updates: ItemUpdates) -> Times:
    """Take the first item of an answer out of stock, wait until it is gone, and put it back.

    An answer may lack an item for other reasons, say when Redis was slow: it counts when one item less is in stock.
    """
    before = ask()
    item, in_stock = before.item_ids[0], before.funnel["in_stock"]
    began = time.time()
    command = subprocess.Popen(
        [*TRIDENT, "items", "set", item, "--in-stock", "false", "--repository", str(repository)],
        stdout=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if k != "REDIS_URL"},
    )  # fmt: skip
    while (answer := ask()).funnel["in_stock"] == in_stock or item in answer.item_ids:
        time.sleep(PAUSE)
        if command.poll():
            sys.exit(f"trident items set: exit code {command.returncode}")
    gone = time.time()
    entry = updates.client.xrevrange(STREAM, count=1)[0][0]
    written = int(entry.split(b"-")[0]) / 1000  # by the clock of Redis, which is the same machine's
    late = sum(item in ask().item_ids for _ in range(AFTERWARDS))
    if command.wait():
        sys.exit(f"trident items set: exit code {command.returncode}")
    updates.clear([item])
    while ask().funnel["in_stock"] != in_stock:
        pass
    return Times(gone - began, gone - written, late)


def report(what: str, seconds: list[float]) -> bool:
    """Print how the times are spread; whether all are within the limit."""
    p50, p99, most = np.percentile(seconds, (50, 99, 100)) * 1000
    print(f"{what:32} p50 {p50:6.1f} ms   p99 {p99:6.1f} ms   longest {most:6.1f} ms")
    return most <= LIMIT * 1000


if __name__ == "__main__":
    sys.exit(main())
