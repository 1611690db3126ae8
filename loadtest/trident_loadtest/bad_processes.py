"""A bad day of processes under load: every Python process is killed once, then the whole server is stopped.

    python -m trident_loadtest.bad_processes [REPOSITORY]

Two gRPC and two HTTP clients ask a real `trident serve` without a pause, through the client library. First each Python
process of the server gets SIGKILL; then servers get SIGTERM: the one that lost its processes, and three fresh ones.

What counts as lost at SIGTERM: a request that was executed (its trace is in Redis) and got no answer; one that failed
halfway; and one whose connection ended without an answer although it was sent before the server first refused one. A
request that is refused, or is sent later and finds the connection closed, was never begun.

Exit code 1 when a process takes longer than 5 s to answer again, when one of the 1,000 requests after that has other
than 20 items, when a request is lost, or when anything is left on the machine.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from trident.errors import TridentError
from trident.locations import DEFAULT_REPOSITORY
from trident.serving import stubs
from trident.state.answered import answered_key
from trident_loadtest.latency import known_users, machine
from trident_loadtest.serve_process import ServeProcess
from trident_loadtest.traffic import ITEMS, Fate, Sent, Traffic

HEALED_WITHIN = 5.0  # seconds
AFTERWARDS = 1000
FRESH = 3
WARM = 2.0  # seconds of load before anything happens
PATIENCE = 30.0  # seconds


@dataclass(frozen=True)
class Killed:
    """What became of one process: when it was killed, when `trident serve` said that it answers again, the requests."""

    model: str
    moment: float
    healed: float
    requests: list[Sent]

    @property
    def afterwards(self) -> list[Sent]:
        """The first 1,000 requests that were sent after it was healed."""
        later = sorted((one for one in self.requests if one.began > self.healed), key=lambda one: one.began)
        return later[:AFTERWARDS]

    @property
    def failed(self) -> list[Sent]:
        """Requests without 20 items."""
        return [one for one in self.requests if one.items != ITEMS]

    @property
    def good(self) -> int:
        """How many of the requests afterwards had 20 items."""
        return sum(one.items == ITEMS for one in self.afterwards)

    @property
    def holds(self) -> bool:
        """Whether all is as it must be."""
        return self.healed - self.moment <= HEALED_WITHIN and self.good == AFTERWARDS

    def row(self) -> str:
        """A row of the table."""
        texts = Counter(one.error.partition(": ")[2] or f"{one.items} items" for one in self.failed)
        errors = "; ".join(f"{count} × {text}" for text, count in texts.most_common()) or "–"
        last = max((one.ended - self.moment for one in self.failed), default=0.0)
        after = f"{last:.1f}" if self.failed else ""
        healed = f"{self.healed - self.moment:.1f}"
        return f"| {self.model} | {len(self.failed)} | {errors} | {after} | {healed} | {self.good} |"


@dataclass(frozen=True)
class Stopped:
    """What became of a server after SIGTERM at `moment`, of its requests, and what it left on the machine."""

    name: str
    moment: float
    code: int
    seconds: float
    requests: list[Sent]
    executed: frozenset[str]
    left: list[str]

    @property
    def lost(self) -> list[Sent]:
        """Requests that the server accepted and did not answer."""
        refusals = [one.began for one in self.requests if one.fate is Fate.REFUSED]
        begun = min(refusals, default=float("inf"))
        return [one for one in self.requests if self._lost(one, begun)]

    def _lost(self, one: Sent, refusing: float) -> bool:
        if one.fate is Fate.ANSWERED:
            return one.items != ITEMS
        executed = answered_key(one.id, one.user) in self.executed
        return executed or one.fate is Fate.FAILED or (one.fate is Fate.CUT and one.began < refusing)

    @property
    def holds(self) -> bool:
        """Whether all is as it must be, and the traces could be trusted."""
        return not self.lost and not self.untraced and not self.left and self.code == 0

    @property
    def untraced(self) -> list[Sent]:
        """Requests that were answered and have no trace in Redis: none, or the traces say nothing."""
        answered = [one for one in self.requests if one.fate is Fate.ANSWERED]
        return [one for one in answered if answered_key(one.id, one.user) not in self.executed]

    def row(self) -> str:
        """A row of the table."""
        fates = Counter(one.fate for one in self.requests)
        counts = " | ".join(str(fates[fate]) for fate in (Fate.ANSWERED, Fate.REFUSED, Fate.CUT, Fate.NEVER_SENT))
        under_way = sum(one.began < self.moment for one in self.requests)
        left = ", ".join(self.left) or "nothing"
        return f"| {self.name} | {under_way} | {counts} | {len(self.lost)} | {self.seconds:.1f} | {left} |"


@contextmanager
def executions(redis_url: str) -> Iterator[set[str]]:
    """The keys under which answers are kept in Redis, from now on until Redis ends: one for every executed request."""
    found: set[str] = set()
    client = redis.Redis.from_url(redis_url)
    client.config_set("notify-keyspace-events", "K$")
    listener = client.pubsub()
    listener.psubscribe("__keyspace@*__:answered:*")

    def listen() -> None:
        try:
            for message in listener.listen():
                if message["type"] == "pmessage":
                    found.add(message["channel"].decode().partition("__:")[2])
        except (redis.RedisError, OSError, ValueError, AttributeError):
            return  # Redis has ended

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield found
    thread.join(PATIENCE)


def kill_each(server: ServeProcess, traffic: Traffic) -> list[Killed]:
    """Kill every Python process of the server, each 1,000 requests after the one before has been healed."""
    (tritonserver,) = [pid for pid in server.children() if stubs.living(pid)]
    return [_kill(server, traffic, pid, stub) for pid, stub in stubs.living(tritonserver).items()]


def _kill(server: ServeProcess, traffic: Traffic, pid: int, stub: stubs.Stub) -> Killed:
    first, moment = len(traffic.sent), time.monotonic()
    os.kill(pid, signal.SIGKILL)
    healed = _healed(server, stub, moment)
    traffic.wait_for(lambda sent: sum(one.began > healed for one in sent[first:]) >= AFTERWARDS, PATIENCE)
    return Killed(stub.model, moment, healed, [one for one in traffic.sent[first:] if one.ended > moment])


def _healed(server: ServeProcess, stub: stubs.Stub, since: float) -> float:
    """When `trident serve` said after `since` that the process answers again; infinity when it did not."""
    while time.monotonic() < since + PATIENCE:
        for moment, line in list(server.said):
            if moment > since and f"{stub.model} {stub.version}: answers again" in line:
                return moment
        time.sleep(0.01)
    return float("inf")


def terminate(server: ServeProcess, traffic: Traffic, executed: set[str], name: str) -> Stopped:
    """Send SIGTERM to the server under load and look at what is left; the clients go on for half a second."""
    traces, first, moment = server.traces(), len(traffic.sent), time.monotonic()
    code, seconds = server.terminate()
    time.sleep(0.5)
    requests = [one for one in traffic.sent[first:] if one.ended > moment]
    return Stopped(name, moment, code, seconds, requests, frozenset(executed), traces.left())


def run(repository: Path, fresh: int = FRESH) -> tuple[list[Killed], list[Stopped]]:
    """Kill each process of one server; stop it, and `fresh` others."""
    users, killed, stopped = known_users(repository), [], []
    for number in range(fresh + 1):
        with ServeProcess(repository) as server, executions(server.note.redis_url) as executed:
            if number == 0:
                with Traffic(server.grpc, server.http, users, record=False) as traffic:
                    time.sleep(WARM)
                    killed = kill_each(server, traffic)
            with Traffic(server.grpc, server.http, users, record=True) as traffic:
                time.sleep(WARM)
                name = f"fresh server {number}" if number else "after the kills"
                stopped.append(terminate(server, traffic, executed, name))
    return killed, stopped


def report(killed: Sequence[Killed], stopped: Sequence[Stopped]) -> None:
    """Print the tables."""
    print("| process killed | failed | error | last of them after s | answers again after s | 20 items, of 1,000 |")
    print("|---|---|---|---|---|---|")
    print("\n".join(one.row() for one in killed), end="\n\n")
    print("| SIGTERM | under way | answered | refused | cut off | not sent | lost | s to the end | left over |")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(one.row() for one in stopped))
    for what in ("lost", "untraced"):
        for one in [one for end in stopped for one in getattr(end, what)][:10]:
            print(f"{what}: {one}")


def main(repository: Path) -> int:
    """Print what came of it; return the exit code."""
    killed, stopped = run(repository)
    print(f"{machine()}; 2 gRPC and 2 HTTP clients without a pause, on the same machine\n")
    report(killed, stopped)
    held = all(one.holds for one in killed) and all(one.holds for one in stopped)
    print("\nall of it holds" if held else "\nNOT all of it holds")
    return 0 if held else 1


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_REPOSITORY))
    except TridentError as error:
        sys.exit(f"trident: {error}")
