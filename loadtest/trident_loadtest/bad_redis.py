"""A bad day of Redis under load: killed, restarted, stopped, full, made a read-only replica. What do callers notice?

    python -m trident_loadtest.bad_redis [REPOSITORY]

50 requests/s, open loop, of random known users, over gRPC and the client library, against Triton and a real Redis that
keeps its data in a file. Each answer must have 20 items and the reason that fits. Exit code 1 when one has not or one
failed, when the p99 of a phase reached 60 ms, or when full service took longer than 5 s to come back.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from trident.errors import TridentError, Unavailable
from trident.locations import DEFAULT_REPOSITORY
from trident.serving.ports import Ports
from trident.serving.process import Child
from trident.serving.redis import executable
from trident.serving.serve import serving
from trident_loadtest.latency import known_users, machine
from trident_loadtest.open_loop import OpenLoop, Sample, percentile

RATE, ITEMS = 50.0, 20
PATIENCE = 10.0  # seconds for Redis to start
MOST_P99_MS, MOST_RECOVERY_S = 60.0, 5.0
GONE = frozenset({"user_state_unavailable", "dedup_unavailable"})
NO_WRITES = frozenset({"dedup_unavailable"})
AFTER_A_WHILE = frozenset({"live_updates_stale"})


class RedisUnderTest:
    """A redis-server on a port of 127.0.0.1 that can be broken; what it knows survives its own death."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, Ports(0, 0, 0).settle().http
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.admin = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Start it with what it knew, and wait for an answer."""
        command: list[str | Path] = [
            executable(), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes",
            "--appendfsync", "no", "--dir", self.folder,
        ]  # fmt: skip
        self.child = Child("redis-server", command, log=self.folder / "redis.log", folder=self.folder)
        end = time.monotonic() + PATIENCE
        while not self._answers():
            if self.child.death or time.monotonic() > end:
                raise Unavailable(f"redis-server {self.child.death or 'does not answer'}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            return bool(self.admin.ping())
        except redis.RedisError:
            return False

    def kill(self) -> None:
        """End it with SIGKILL."""
        self.child.process.kill()
        self.child.stop()

    def pause(self) -> None:
        """Stop it with SIGSTOP: it keeps its connections and says nothing."""
        self.child.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self.child.process.send_signal(signal.SIGCONT)

    def fill(self) -> None:
        """Take away its memory: it refuses to write."""
        self.admin.config_set("maxmemory", 1)

    def empty(self) -> None:
        """Give it back."""
        self.admin.config_set("maxmemory", 0)

    def demote(self) -> None:
        """Make it the replica of a primary that is nowhere."""
        self.admin.replicaof("127.0.0.1", "1")

    def promote(self) -> None:
        """Make it a primary."""
        self.admin.replicaof("NO", "ONE")


@dataclass(frozen=True)
class Phase:
    """What is done, how long it lasts, and what every answer says of it; `recovery` is measured from then on."""

    name: str
    seconds: float
    act: Callable[[RedisUnderTest], object]
    says: frozenset[str] = frozenset()
    may_say: frozenset[str] = frozenset()
    recovery: bool = False


PHASES = (
    Phase("all is well", 10, lambda redis: None),
    Phase("killed", 10, RedisUnderTest.kill, GONE, AFTER_A_WHILE),
    Phase("started again", 10, RedisUnderTest.start, recovery=True),
    Phase("stopped (SIGSTOP)", 10, RedisUnderTest.pause, GONE, AFTER_A_WHILE),
    Phase("goes on (SIGCONT)", 10, RedisUnderTest.resume, recovery=True),
    Phase("memory is full", 10, RedisUnderTest.fill, NO_WRITES),
    Phase("has memory again", 10, RedisUnderTest.empty, recovery=True),
    Phase("read-only replica", 10, RedisUnderTest.demote, NO_WRITES),
    Phase("primary again", 10, RedisUnderTest.promote, recovery=True),
)


@dataclass(frozen=True)
class Outcome:
    """The samples due in one phase; when it was acted and when the next one began, in monotonic seconds."""

    phase: Phase
    acted: float
    end: float
    samples: list[Sample]

    @property
    def failed(self) -> int:
        """Requests without an answer, or with other than 20 different items."""
        return sum(sample.items != ITEMS for sample in self.samples)

    @property
    def wrong(self) -> int:
        """Answers that do not say what they should; while service comes back they may say too much."""
        return sum(not self._fits(sample) for sample in self.samples if self._within(sample))

    def _within(self, sample: Sample) -> bool:
        """Whether it was answered while nothing but this phase could have touched it."""
        return not sample.error and sample.due >= self.acted and sample.due + sample.seconds < self.end

    def _fits(self, sample: Sample) -> bool:
        said = frozenset(sample.degraded)
        if self.phase.recovery:
            return not said or (said <= GONE | AFTER_A_WHILE and sample.due < self.acted + MOST_RECOVERY_S)
        return self.phase.says <= said <= self.phase.says | self.phase.may_say

    @property
    def recovered_s(self) -> float:
        """Seconds from the act to the last answer that lacked something."""
        done = [sample for sample in self.samples if sample.due + sample.seconds < self.end]
        lacking = [sample.due + sample.seconds for sample in done if sample.degraded or sample.error]
        return max(0.0, max(lacking, default=0.0) - self.acted)

    @property
    def p99(self) -> float:
        """Milliseconds."""
        return percentile(self.samples, 0.99)

    @property
    def holds(self) -> bool:
        """Whether all is as it must be."""
        in_time = not self.phase.recovery or self.recovered_s <= MOST_RECOVERY_S
        return not self.failed and not self.wrong and self.p99 < MOST_P99_MS and in_time

    def row(self) -> str:
        """A row of the table."""
        said = Counter(reason for sample in self.samples if self._within(sample) for reason in sample.degraded)
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(said.items())) or "–"
        times = " | ".join(f"{percentile(self.samples, share):.1f}" for share in (0.5, 0.99, 1.0))
        back = f"{self.recovered_s:.1f}" if self.phase.recovery else ""
        return (
            f"| {self.phase.name} | {len(self.samples)} | {self.failed} | {self.wrong} | {reasons} | {times} | {back} |"
        )


@contextmanager
def running_redis() -> Iterator[RedisUnderTest]:
    """A Redis of its own, started."""
    with tempfile.TemporaryDirectory(prefix="trident-bad-redis-", ignore_cleanup_errors=True) as folder:
        server = RedisUnderTest(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.resume()
            server.child.stop()


def run(repository: Path, phases: tuple[Phase, ...] = PHASES, rate: float = RATE) -> list[Outcome]:
    """Go through `phases` under load and return what came of each."""
    users = known_users(repository)
    with running_redis() as server, serving(repository, server.url) as triton:
        with OpenLoop(triton.grpc, users[: len(users) // 10], rate):  # warms connections and caches
            time.sleep(2)
        with OpenLoop(triton.grpc, users, rate) as load:
            times = []
            for phase in phases:
                begun = time.monotonic()
                phase.act(server)
                times.append((begun, time.monotonic()))
                time.sleep(phase.seconds)
            times.append((time.monotonic(), 0.0))
    return [
        Outcome(phase, acted, end, [sample for sample in load.samples if begun <= sample.due < end])
        for phase, (begun, acted), (end, _) in zip(phases, times, times[1:], strict=False)
    ]


def main(repository: Path) -> int:
    """Print the table; return the exit code."""
    outcomes = run(repository)
    print(f"{machine()}; gRPC, {RATE:g} requests/s, open loop; times from when a request was due\n")
    print("| Redis | requests | not 20 items | wrong reason | reasons | p50 ms | p99 ms | max ms | back after s |")
    print("|---|---|---|---|---|---|---|---|---|")
    for outcome in outcomes:
        print(outcome.row())
    errors = Counter(sample.error for outcome in outcomes for sample in outcome.samples if sample.error)
    for error, count in errors.most_common(5):
        print(f"{count} × {error}")
    held = all(outcome.holds for outcome in outcomes)
    print("\nall of it holds" if held else "\nNOT all of it holds")
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_REPOSITORY))
    except TridentError as error:
        sys.exit(f"trident: {error}")
