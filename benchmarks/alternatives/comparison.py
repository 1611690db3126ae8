"""All servers over one release, checked for equal answers, then measured in turn, round after round."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.alternatives import load, servers
from benchmarks.alternatives.capacity import capacity
from benchmarks.alternatives.equality import require_equal
from benchmarks.alternatives.load import Run
from benchmarks.alternatives.servers import Running
from trident.errors import InvalidInput
from trident.users import UserRows
from trident_loadtest.bench.memory import memory_of
from trident_loadtest.bench.target import cpu_seconds
from trident_loadtest.processes import tree

CHECKED = 50  # users whose answers are compared
STRANGERS = 0.01  # of the requests: users that nobody knows
SKEW = 1.1  # Zipf's exponent: some users come often
REQUESTS = 20_000  # different ones, sent in turn
WARM_UP = 2.0  # seconds at most, at a quarter of the first rate
SEED = 1
NAMES = ("triton", "fastapi", "feast")
Say = Callable[[str], object]
Start = Callable[[int], AbstractContextManager[Running]]
"""Starts a server with so many processes."""


@dataclass(frozen=True)
class Plan:
    """What is compared and for how long."""

    release: Path
    rounds: int
    seconds: float
    workers: tuple[int, ...]
    alternatives: tuple[str, ...]
    start: float  # requests per second

    def __post_init__(self) -> None:
        if unknown := set(self.alternatives) - set(NAMES):
            raise InvalidInput(f"alternatives: expected some of {', '.join(NAMES)}, got {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Measured:
    """One server in one round, at its highest rate."""

    run: Run
    trident: Run  # at the same rate


@dataclass(frozen=True)
class Found:
    """One server: what each round gave, and its memory at the end."""

    name: str
    rounds: tuple[Measured, ...]
    memory: int  # bytes; the mapped files of the release, which are the same for all, not among them


def compare(plan: Plan, say: Say) -> list[Found]:
    """Measure Trident, which comes first, and the alternatives; raise Unavailable when their answers differ."""
    users = _users(plan.release)
    with contextlib.ExitStack() as stack:
        trident = stack.enter_context(servers.trident(plan.release))
        rivals = [_best(plan, name, users, trident, stack, say) for name in plan.alternatives]
        running = [trident, *rivals]
        rounds: list[list[Measured]] = [[] for _ in running]
        for number in range(plan.rounds):
            order = np.roll(np.arange(len(running)), -number).tolist()
            for i in order:
                start = rounds[i][-1].run.rate if rounds[i] else plan.start
                rounds[i].append(_measured(plan, running[i], trident, users, start))
                say(f"round {number + 1}, {running[i].name}: {rounds[i][-1].run}")
        return [
            Found(server.name, tuple(found), _own_memory(server)) for server, found in zip(running, rounds, strict=True)
        ]


def _best(
    plan: Plan, name: str, users: Sequence[str], trident: Running, stack: contextlib.ExitStack, say: Say
) -> Running:
    """The alternative with as many workers as serve most, started, and equal to Trident."""
    start, counts = _start(plan, name, stack), plan.workers if name != "triton" else (1,)
    rates = {}
    for count in counts if len(counts) > 1 else ():
        with start(count) as server:
            require_equal(trident, server, users[:CHECKED])
            rates[count] = _capacity(plan, server, users, plan.start).rate
            say(f"{server.name}: {rates[count]:.0f} requests/s")
    server = stack.enter_context(start(max(counts, key=lambda count: rates.get(count, 0.0))))
    compared = require_equal(trident, server, users[:CHECKED])
    say(f"{server.name}: {compared} items are the same as Trident's, scores within 1e-6")
    return server


def _start(plan: Plan, name: str, stack: contextlib.ExitStack) -> Start:
    if name == "triton":
        return lambda _: servers.triton_with_lightgbm(plan.release)
    if name == "fastapi":
        return partial(servers.fastapi, plan.release)
    rows = stack.enter_context(servers.features_in_redis(plan.release))
    return partial(servers.fastapi_with_rows_from_redis, plan.release, rows=rows)


def _measured(plan: Plan, server: Running, trident: Running, users: Sequence[str], start: float) -> Measured:
    best = _capacity(plan, server, users, start)
    return Measured(best, best if server is trident else _run(plan, trident, users, best.rate))


def _capacity(plan: Plan, server: Running, users: Sequence[str], start: float) -> Run:
    load.run(server.addresses, _requests(server, users), start / 4, min(WARM_UP, plan.seconds))
    return capacity(partial(_run, plan, server, users), start)


def _run(plan: Plan, server: Running, users: Sequence[str], rate: float) -> Run:
    processes = _processes(server)
    before = sum(map(cpu_seconds, processes))
    run = load.run(server.addresses, _requests(server, users), rate, plan.seconds)
    return replace(run, cpu_ms=1000 * (sum(map(cpu_seconds, processes)) - before) / run.sent)


def _requests(server: Running, users: Sequence[str]) -> list[bytes]:
    return [server.protocol.request(server.addresses[0], {"user_id": user}) for user in users]


def _users(release: Path) -> list[str]:
    """Whom requests are for, in the order in which they come: some users often, and a few whom nobody knows."""
    known, rng = UserRows.open(release / "users"), np.random.default_rng(SEED)
    weights = 1 / np.arange(1, len(known) + 1) ** SKEW
    ranks = rng.choice(len(known), REQUESTS, p=weights / weights.sum())
    names = [name.decode() for name in known.ids.take(rng.permutation(len(known))[ranks])]
    for place in np.flatnonzero(rng.random(REQUESTS) < STRANGERS).tolist():
        names[place] = f"stranger-{place}"
    return names


def _own_memory(server: Running) -> int:
    held = [memory_of(process) for process in _processes(server)]
    return sum(one.anon + one.shmem for one in held)


def _processes(server: Running) -> set[int]:
    return {pid for process in server.processes for pid in tree(process)}
