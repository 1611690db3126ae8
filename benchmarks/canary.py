"""What a canary costs: the router beside `recommend`, and a client before and while a canary runs.

    python benchmarks/canary.py --release build/release

Publishes the release twice, the second time held, serves both, and asks at a fixed rate, whether earlier requests are
answered or not; times count from when a request was due. Ways of asking that are compared take turns.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput

from trident.contract import RECORD, TIMESTAMP, USER_ID
from trident.experiment import in_canary
from trident.release import Release
from trident.serving import stubs
from trident.serving.serve import Serving, serving
from trident.users import UserRows
from trident_client import Recommender
from trident_client.codec import infer_inputs
from trident_export.publishing import canary
from trident_export.publishing.control import Control
from trident_export.publishing.journal import HOLD
from trident_export.publishing.publish import Options, Server, publish

EXPERIMENT, SHARE = "bench", 0.05
Ask = Callable[[str], object]


def main() -> None:
    """Run everything and print the page's tables."""
    options = _arguments()
    print(f"share of 100,000 users in the canary at 5 %: {share_of(100_000):.3%}\n")
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        publish(options.release, repository)
        number = publish(options.release, repository, None, Options(act=HOLD, override="benchmark"))
        users = known_users(options.release)
        with serving(repository) as running:
            server = Server(Control(running.grpc, running.key), running.redis_url)
            router_rows(running, users, options, "no canary")
            canary.start(repository, number, SHARE, EXPERIMENT, server)
            router_rows(running, users, options, "canary at 5 %")
            print(f"\nresident memory of the router's process: {resident(running):.0f} MiB\n")
            canary.stop(repository, server)
            client_rows(running, repository, number, server, users, options)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/release"))
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of one round")
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


def share_of(users: int) -> float:
    """The share of many users whom an experiment at 5 % deals to the canary; each is asked twice."""
    names = [f"u{n}".encode() for n in range(users)]
    dealt = [in_canary(name, EXPERIMENT, SHARE) for name in names]
    if dealt != [in_canary(name, EXPERIMENT, SHARE) for name in names]:
        raise SystemExit("a user has changed sides")
    return sum(dealt) / users


def known_users(release: Path) -> list[str]:
    """The users of a release."""
    rows = UserRows.open(Release.open(release).folder / "users")
    return [rows.ids[row].decode() for row in range(len(rows))]


def router_rows(running: Serving, users: Sequence[str], options: argparse.Namespace, what: str) -> None:
    """One line per model: p50 and p99 of requests that go to `recommend` and to `recommend_ab` in turn."""
    with InferenceServerClient(running.grpc) as client:
        now = np.array([[int(time.time())]], np.int64)
        ways = {model: _model(client, model, now) for model in ("recommend", "recommend_ab")}
        differing = sum(not _equal(*(ask(user) for ask in ways.values())) for user in users[:200])
        times = [at_rate(list(ways.values()), users, options, seed) for seed in range(options.rounds)]
    print(f"\n{what}: of {min(200, len(users))} users {differing} were answered otherwise by the router\n")
    print("| model | p50 ms | p99 ms |\n|---|---|---|")
    for way, model in enumerate(ways):
        print(f"| {model} | {_median(times, way, 50):.2f} | {_median(times, way, 99):.2f} |")


def client_rows(
    running: Serving, repository: Path, number: int, server: Server, users: Sequence[str], options: argparse.Namespace
) -> None:
    """Rounds of a client without and with a canary, in turn."""
    medians: dict[bool, list[float]] = {False: [], True: []}
    tails: dict[bool, list[float]] = {False: [], True: []}
    for seed in range(options.rounds):
        for on in (False, True) if seed % 2 else (True, False):
            if on:
                canary.start(repository, number, SHARE, EXPERIMENT, server)
            with Recommender(running.grpc, deadline=5) as client:
                [times] = at_rate([partial(client.recommend, record=False)], users, options, seed)
            if on:
                canary.stop(repository, server)
            medians[on].append(float(np.percentile(times, 50)))
            tails[on].append(float(np.percentile(times, 99)))
    print("| through the client | p50 ms | p99 ms |\n|---|---|---|")
    for on, name in ((False, "no canary"), (True, "canary at 5 %")):
        print(f"| {name} | {statistics.median(medians[on]):.2f} | {statistics.median(tails[on]):.2f} |")
    moved = statistics.median(b / a - 1 for a, b in zip(medians[False], medians[True], strict=True))
    print(f"\nturning the canary on moves p50 by {moved:+.1%} (median of {options.rounds} pairs of rounds)")


def at_rate(ways: Sequence[Ask], users: Sequence[str], options: argparse.Namespace, seed: int) -> list[list[float]]:
    """Milliseconds of each request, by way; request n goes to way n modulo their number. An error ends it all."""
    draw, asked = random.Random(seed), []
    for ask in ways:
        for user in users[:20]:
            ask(user)  # connections, caches
    with ThreadPoolExecutor(32) as pool:
        begin = time.monotonic()
        for n in range(int(options.rate * options.seconds)):
            due = begin + n / options.rate
            time.sleep(max(0.0, due - time.monotonic()))
            asked.append(pool.submit(_timed, ways[n % len(ways)], draw.choice(users), due))
    times = [future.result() for future in asked]
    return [times[way :: len(ways)] for way in range(len(ways))]


def _timed(ask: Ask, user: str, due: float) -> float:
    ask(user)
    return 1000 * (time.monotonic() - due)


def _model(client: InferenceServerClient, model: str, now: np.ndarray) -> Callable[[str], dict[str, np.ndarray]]:
    """Asks one model for one user, as of `now` (1, 1), with nothing recorded."""

    def ask(user: str) -> dict[str, np.ndarray]:
        given = {USER_ID: np.array([[user.encode()]], np.object_), RECORD: np.zeros((1, 1), np.bool_), TIMESTAMP: now}
        inputs = infer_inputs(InferInput, list(given.items()))
        answer = client.infer(model, inputs, client_timeout=5)
        return {name: answer.as_numpy(name) for name in ("item_id", "score", "funnel", "degraded")}

    return ask


def _equal(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    exact = all((first[name] == second[name]).all() for name in ("item_id", "funnel", "degraded"))
    return bool(exact and np.allclose(first["score"], second["score"], atol=1e-6, equal_nan=True))


def _median(times: list[list[list[float]]], way: int, percent: float) -> float:
    return statistics.median(float(np.percentile(of_round[way], percent)) for of_round in times)


def resident(running: Serving) -> float:
    """MiB that the router's Python process holds."""
    found = [pid for pid, stub in stubs.living(running.triton.child.pid).items() if stub.model == "recommend_ab"]
    lines = Path(f"/proc/{found[0]}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
