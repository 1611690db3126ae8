"""What a publisher leaves that SIGKILL ends at any of its steps: nothing that the next one does not put right.

    .venv/bin/python benchmarks/killed_publishes.py build/release build/another
    .venv/bin/python benchmarks/killed_publishes.py build/release build/another --restart

A real Redis and a real Triton serve the one release. A process publishes the other one, or rolls back, and kills
itself at a point; a client asks without a pause all the while. Then the next publish has to work and to leave folders,
versions in the server and user rows as one does that nobody killed. `--restart` also starts the server again in
between. `--points` names some of the points: a step, or `rename N` and `load N` for the N-th of these calls.
`docs/benchmarks/killed_publishes.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from trident.contract import LEAVES, MODELS, RECOMMEND, RECOMMEND_AB, ROUTER_VERSION, USER_ENCODER
from trident.release import MANIFEST, Manifest
from trident.repository import numbers_in_use, serving_release
from trident.serving.model_control import READY, ModelControl
from trident.serving.redis import EmbeddedRedis
from trident.serving.serve import Serving, serving
from trident.state.connection import connect
from trident_client import Recommender
from trident_export.publishing import journal, publish, rollback
from trident_export.publishing.control import Control
from trident_export.publishing.server import Server

ROLLBACK_STEPS = ("flip", "load ensemble", "verify", "record", "end")
POINTS = (
    *(f"publish: {step}" for step in journal.STEPS),
    *(f"publish: rename {n}" for n in (1, 9, 12, 16)),
    *(f"publish: load {n}" for n in (2, 7)),
    *(f"rollback: {step}" for step in ROLLBACK_STEPS),
)


def main() -> None:
    """Kill a publisher at every point and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("releases", nargs=2, type=Path)
    parser.add_argument("--points", nargs="*", default=POINTS)
    parser.add_argument("--restart", action="store_true", help="start the server again before the next publish")
    parser.add_argument("--examine", action="store_true", help="examine every release, not only where that is the step")
    parser.add_argument("--die", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.die:
        die(*options.die, release=options.releases[0], examining=options.examine)
    wrong = False
    for line in table(options):
        print(line, flush=True)
        wrong |= "WRONG" in line
    if wrong:
        sys.exit("something was left, or somebody was not answered")


# --- the process that dies -----------------------------------------------------------------------------------------


def die(point: str, repository: str, url: str, redis_url: str, key: str, *, release: Path, examining: bool) -> None:
    """Publish or roll back, and die at `point`."""
    act, step = point.split(": ")
    arrange_death(step)
    if not examining and step != "examine":
        publish.examine = lambda *_: []  # type: ignore[assignment]
    server = Server(Control(url, key), redis_url)
    if act == "rollback":
        rollback.rollback(Path(repository), server)
    else:
        publish.publish(release, Path(repository), server)
    sys.exit(f"nobody died at '{point}'")


def arrange_death(step: str) -> None:
    """Have this process kill itself where `step` begins, or in the N-th rename or load."""
    kind, _, count = step.partition(" ")
    if count.isdigit():
        {"rename": die_in_a_rename, "load": die_in_a_load}[kind](int(count))
        return
    begin = journal.Journal.step

    def begins(self: journal.Journal, name: str) -> None:
        begin(self, name)
        if name == step:
            kill()

    journal.Journal.step = begins  # type: ignore[method-assign]


def die_in_a_load(count: int) -> None:
    """Die after the N-th model of a load."""
    load = Control.load

    def one_by_one(self: Control, models: Sequence[str], version: int) -> None:
        for n, model in enumerate(models, 1):
            load(self, [model], version)
            if n == count:
                kill()

    Control.load = one_by_one  # type: ignore[method-assign]


def die_in_a_rename(count: int) -> None:
    """Die after the N-th rename of a folder."""
    rename, calls = Path.rename, iter(range(1, 1000))

    def renaming(self: Path, target: Path) -> Path:
        result = rename(self, target)
        if next(calls) == count:
            kill()
        return result

    Path.rename = renaming  # type: ignore[assignment]


def kill() -> None:
    """Die as the kernel lets a process die that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


# --- what is looked at ---------------------------------------------------------------------------------------------


NOT_OURS = {"cold_start", "popular_fallback"}
"""What an answer says when user rows or a user tower are missing; a busy machine lets Redis be late now and then."""


@dataclass
class Asking:
    """A client that asks all the time: how many answers of which release, and what went wrong."""

    answers: Counter = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    @contextmanager
    def of(self, server: Serving) -> Iterator[None]:
        """Ask `server` for as long as the block lasts."""
        stop = threading.Event()
        thread = threading.Thread(target=self._ask, args=(server.grpc, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _ask(self, url: str, stop: threading.Event) -> None:
        with Recommender(url, deadline=10) as recommender:
            while not stop.is_set():
                try:
                    answer = recommender.recommend("u1", record=False)
                except Exception as error:
                    self.wrong.append(str(error))
                    continue
                self.answers[answer.release] += 1
                if len(answer.items) != 20 or set(answer.degraded) & NOT_OURS:
                    self.wrong.append(f"release {answer.release}: {len(answer.items)} items, {answer.degraded}")


def left_over(repository: Path, server: Serving, redis_url: str) -> list[str]:
    """What is not as after a publish that nobody killed."""
    numbers, found = numbers_in_use(repository), []
    beside = {p.name for p in repository.parent.iterdir()} - {repository.name}
    if beside != {f".{repository.name}.{name}" for name in ("history.jsonl", "key")}:
        found.append(f"beside the repository: {sorted(beside)}")
    if len(numbers) != 2 or serving_release(repository) != max(numbers):
        found.append(f"releases {sorted(numbers)}, {serving_release(repository)} serves")
    for model in MODELS:
        there = {p.name for p in (repository / model.name).iterdir()} - {"configs"}
        if there != {"config.pbtxt", *map(str, numbers)}:
            found.append(f"{model.name}: {sorted(there)}")
    return found + in_the_server(server, numbers, max(numbers)) + in_redis(repository, redis_url, numbers)


def in_the_server(server: Serving, numbers: set[int], newest: int) -> list[str]:
    """Versions in the server that should not be there, or that are not."""
    expected = {(leaf.name, n) for leaf in LEAVES for n in numbers}
    expected |= {(RECOMMEND.name, newest), (RECOMMEND_AB.name, ROUTER_VERSION)}
    for _ in range(50):  # what is unloaded ends in the background
        states = ModelControl(server.http, key=server.key).states()
        ready = {version for version, state in states.items() if state == READY}
        if ready == expected and not set(states.values()) - {READY, "UNAVAILABLE"}:
            return []
        time.sleep(0.1)
    return [f"in the server: {sorted(ready ^ expected)}"]


def in_redis(repository: Path, redis_url: str, numbers: set[int]) -> list[str]:
    """User rows that nobody reads, or that are missing."""
    manifests = {n: Manifest.read(repository / USER_ENCODER.name / str(n) / MANIFEST) for n in numbers}
    expected = {m.feature_schema: m.users for m in manifests.values()}
    with connect(redis_url, 5.0) as client:
        rows = Counter(key.decode().split(":")[1] for key in client.scan_iter("user_feat:*", count=1000))
    return [] if rows == expected else [f"user rows: expected {expected}, got {dict(rows)}"]


# --- one point after the other -------------------------------------------------------------------------------------


@dataclass
class Place:
    """A repository, the Redis and the server that serve it; the server can be started again."""

    repository: Path
    redis_url: str

    def start(self) -> None:
        """Start the server."""
        self._context = serving(self.repository, self.redis_url)
        self.server = self._context.__enter__()

    def stop(self) -> None:
        """Stop the server."""
        self._context.__exit__(None, None, None)

    def publish(self, release: Path) -> int:
        """Publish as nobody kills it."""
        control = Control(self.server.grpc, self.server.key)
        return publish.publish(release, self.repository, Server(control, self.redis_url))


def table(options: argparse.Namespace) -> Iterator[str]:
    """A line per point."""
    yield "| killed at | then serves | answers meanwhile | next publish | left over |"
    yield "|---|---|---|---|---|"
    if not options.examine:
        publish.examine = lambda *_: []  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(prefix="trident-killed-") as folder, EmbeddedRedis() as redis:
        place = Place(Path(folder) / "place" / "repository", redis.url)
        publish.publish(options.releases[0], place.repository)
        place.start()
        try:
            place.publish(options.releases[1])
            for n, point in enumerate(options.points):
                yield line(point, options.releases[n % 2], place, options)
        finally:
            place.stop()


def line(point: str, release: Path, place: Place, options: argparse.Namespace) -> str:
    """Kill a publisher at one point, publish, and say what is found."""
    before, asking = serving_release(place.repository), Asking()
    with asking.of(place.server):
        wrong = kill_one(point, release, place, options.examine)
        time.sleep(0.2)
    served = ask(place.server)
    if options.restart:
        place.stop()
        place.start()
        served = f"{served}, after a restart {ask(place.server)}"
    with asking.of(place.server):
        number = place.publish(release)
    wrong += [*asking.wrong[:2], *left_over(place.repository, place.server, place.redis_url)]
    remark = f"WRONG: {'; '.join(wrong)}" if wrong else "nothing"
    return f"| {point} | {served} instead of {before} | {sum(asking.answers.values())} | {number} | {remark} |"


def kill_one(point: str, release: Path, place: Place, examining: bool) -> list[str]:
    """Have a publisher die at `point`; what is wrong when it did not."""
    command = [sys.executable, __file__, str(release), str(release), *(["--examine"] if examining else [])]
    given = [point, str(place.repository), place.server.grpc, place.redis_url, place.server.key]
    done = subprocess.run([*command, "--die", *given], capture_output=True, text=True)
    return [] if done.returncode == -signal.SIGKILL else [f"not killed: {done.stderr.strip().splitlines()[-1:]}"]


def ask(server: Serving) -> str:
    """Which release answers."""
    with Recommender(server.grpc, deadline=10) as recommender:
        return str(recommender.recommend("u1", record=False).release)


if __name__ == "__main__":
    main()
