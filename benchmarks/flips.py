"""Publishes and rollbacks in a row under load: no error, no answer of two releases, and what they cost.

    python -m benchmarks.flips [RELEASE] [--publishes 20] [--rollbacks 10] [--rate 100] [--pause 5]

RELEASE (build/release) becomes three releases that differ in their forest and their rules (see `variants`). They are
published in turn with `trident publish`, and taken back with `trident rollback`, into the repository of a real `trident
serve`, while 8 client threads ask 100 times per second in all, at times of their own. Every answer is compared, item by
item and score by score, with what the release that it names answers in one process, so that one step of another
release would show, the forest's included.

"During" is from the start of a command until it ends, "between" is the rest, without the first 2 s. Exit code 1 when a
request fails, when an answer is not that of its release, or when p99 during is more than twice p99 between.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.checked_load import CLIENTS, CheckedLoad, Reply
from benchmarks.variants import Answer, answers, as_of, make_variants
from trident.errors import TridentError, Unavailable
from trident_loadtest.latency import known_users, machine
from trident_loadtest.serve_process import ServeProcess

RATE = 100.0  # requests/s
USERS = 40
HOUR = 3600  # seconds
WARM = 2.0  # seconds
BOUND = 2.0
"""p99 during flips may be this many times p99 between them."""
NOWHERE = "redis://127.0.0.1:1"
TOLERANCE = 1e-6
"""Largest difference of a score, as a share of it."""

Expected = Mapping[tuple[int, str, tuple[str, ...]], Answer]
"""By variant, user and what the answer lacks."""


@dataclass(frozen=True)
class Act:
    """One command under load: its name, the release that served afterwards, and when it ran (monotonic seconds)."""

    name: str
    release: int
    began: float
    ended: float


@dataclass
class Flips:
    """What was done, what came back, and which variant each release number was."""

    acts: list[Act] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    variant: dict[int, int] = field(default_factory=dict)

    @property
    def errors(self) -> list[Reply]:
        """Requests that got no answer."""
        return [reply for reply in self.replies if reply.error]

    def wrong(self, expected: Expected) -> list[Reply]:
        """Answers that are not those of the release that they name."""
        return [reply for reply in self.replies if not reply.error and not self._right(reply, expected)]

    def _right(self, reply: Reply, expected: Expected) -> bool:
        answer = expected.get((self.variant.get(reply.release, -1), reply.user, reply.lacks))
        return answer is not None and same(reply.answer, answer)

    def during(self, name: str = "") -> list[Reply]:
        """Requests that were due while a command ran, or one of this name."""
        acts = [act for act in self.acts if name in ("", act.name)]
        return [one for one in self.replies if any(act.began <= one.due <= act.ended for act in acts)]

    def between(self) -> list[Reply]:
        """All other requests, without those of the first seconds."""
        within = {id(one) for one in self.during()}
        began = min((one.due for one in self.replies), default=0.0) + WARM
        return [one for one in self.replies if id(one) not in within and one.due > began]


def same(one: Answer, other: Answer) -> bool:
    """Whether two answers have the same items with the same scores."""
    if one[0] != other[0]:
        return False
    return all(abs(a - b) <= TOLERANCE * abs(b) for a, b in zip(one[1], other[1], strict=True))


def plan(publishes: int, rollbacks: int) -> list[str]:
    """Which command follows which: a rollback after every second publish, as long as there are any."""
    acts, left = [], rollbacks
    for number in range(publishes):
        acts.append("publish")
        if left and (number % 2 == 1 or publishes - number <= left):
            acts.append("rollback")
            left -= 1
    return acts


def run(release: Path, acts: Sequence[str], rate: float = RATE, pause: float = 5.0) -> tuple[Flips, Expected]:
    """Do `acts` under load; what came back, and what should have."""
    with tempfile.TemporaryDirectory(prefix="trident-flips-") as folder:
        variants = make_variants(release, Path(folder))
        repository, done = Path(folder) / "repository", Flips()
        done.variant[command("publish", str(variants[0]), repository=repository)] = 0
        users = random.Random(1).sample(known_users(repository), USERS)
        timestamp = as_of(release) + 3 * HOUR
        if abs(timestamp - time.time()) < 2 * HOUR:  # then embeddings would be cached, and the tower not asked
            timestamp += 5 * HOUR
        with ServeProcess(repository) as server:
            expected = expectations(variants, users, timestamp, server.note.redis_url)
            with CheckedLoad(server.grpc, users, timestamp, rate) as load:
                time.sleep(WARM)
                for name in acts:
                    time.sleep(pause)
                    _act(name, variants, repository, done)
                time.sleep(pause)
            done.replies = load.replies
    return done, expected


def _act(name: str, variants: Sequence[Path], repository: Path, done: Flips) -> None:
    began = time.monotonic()
    if name == "publish":
        variant = (done.variant[max(done.variant)] + 1) % len(variants)
        release = command("publish", str(variants[variant]), repository=repository)
        done.variant[release] = variant
    else:
        release = command("rollback", repository=repository)
    done.acts.append(Act(name, release, began, time.monotonic()))


def command(name: str, *arguments: str, repository: Path) -> int:
    """Run `trident NAME` as a user does; the release that serves then."""
    line = [sys.executable, "-m", "trident.cli", name, *arguments, "--repository", str(repository), "--json"]
    ran = subprocess.run(line, capture_output=True, text=True)
    if ran.returncode:
        raise Unavailable(f"`trident {name}` failed: {ran.stderr.strip()}")
    return int(json.loads(ran.stdout.splitlines()[-1])["release"])


def expectations(variants: Sequence[Path], users: Sequence[str], timestamp: int, redis_url: str) -> Expected:
    """What each variant answers, with Redis and without it; raises Unavailable when two of them answer alike."""
    expected: dict[tuple[int, str, tuple[str, ...]], Answer] = {}
    for url in (redis_url, NOWHERE):
        with _redis(url):
            for number, folder in enumerate(variants):
                found = answers(folder, users, timestamp)
                expected |= {(number, *asked): answer for asked, answer in found.items()}
    for (number, user, lacks), answer in expected.items():
        others = [expected[other, user, lacks] for other in range(len(variants)) if other != number]
        if any(same(answer, other) for other in others):
            raise Unavailable(f"user {user}: two releases answer alike, so that no mixture would show")
    return expected


@contextmanager
def _redis(url: str) -> Iterator[None]:
    before = os.environ.get("REDIS_URL")
    os.environ["REDIS_URL"] = url
    try:
        yield
    finally:
        del os.environ["REDIS_URL"]
        if before is not None:
            os.environ["REDIS_URL"] = before


def percentile(replies: Sequence[Reply], share: float) -> float:
    """Milliseconds within which `share` of the requests were answered; NaN for none."""
    ordered = sorted(reply.seconds for reply in replies)
    return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def report(done: Flips, expected: Expected) -> None:
    """Print the tables."""
    print("| | requests | errors | not of its release | short of something | p50 ms | p90 ms | p99 ms | longest ms |")
    print("|---|---|---|---|---|---|---|---|---|")
    wrong = {id(reply) for reply in done.wrong(expected)}
    parts = {"between": done.between(), "during publishes": done.during("publish")}
    parts |= {"during rollbacks": done.during("rollback"), "during both": done.during()}
    for name, replies in parts.items():
        counts = [len(replies), sum(bool(one.error) for one in replies), sum(id(one) in wrong for one in replies)]
        counts.append(sum(bool(one.lacks) for one in replies))
        times = [f"{percentile(replies, share):.1f}" for share in (0.5, 0.9, 0.99, 1.0)]
        print(f"| {name} | {' | '.join(map(str, counts))} | {' | '.join(times)} |")
    for name in ("publish", "rollback"):
        seconds = sorted(act.ended - act.began for act in done.acts if act.name == name)
        if seconds:
            print(f"\n{len(seconds)} × {name}: median {seconds[len(seconds) // 2]:.1f} s, longest {seconds[-1]:.1f} s")
    for reply in [*done.errors, *done.wrong(expected)][:5]:
        print(f"  {reply}")


def holds(done: Flips, expected: Expected) -> bool:
    """Whether all is as it must be."""
    slow = percentile(done.during(), 0.99) > BOUND * percentile(done.between(), 0.99)
    return bool(done.replies) and not done.errors and not done.wrong(expected) and not slow


def main() -> int:
    """Print what came of it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flips", description="Flips under load.")
    parser.add_argument("release", nargs="?", type=Path, default=Path("build/release"))
    parser.add_argument("--publishes", type=int, default=20)
    parser.add_argument("--rollbacks", type=int, default=10)
    parser.add_argument("--rate", type=float, default=RATE, help="requests per second of all clients together")
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two commands")
    given = parser.parse_args()
    done, expected = run(given.release, plan(given.publishes, given.rollbacks), given.rate, given.pause)
    print(f"{machine()}; {CLIENTS} gRPC clients, {given.rate:g} requests/s in all, open loop, on the same machine\n")
    report(done, expected)
    print("\nall of it holds" if holds(done, expected) else "\nNOT all of it holds")
    return 0 if holds(done, expected) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TridentError as error:
        sys.exit(f"trident: {error}")
