"""What the server did during a run: processor time by process, time by stage, what its cache had and what it lacked."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import reduce
from operator import add
from typing import Any

from trident.contract import DEGRADED
from trident.serving.control_key import read_key
from trident_loadtest.bench.target import Target, cpu_seconds
from trident_loadtest.scrape import total
from trident_loadtest.stage_times import StageTime, stage_times

CACHE = ("hit", "miss", "refused", "unknown")
REPORTING = 1.3  # seconds after which the steps have told Triton what they counted
NOTHING = StageTime(0, 0, 0)


@dataclass(frozen=True)
class Observed:
    """Totals over a run: seconds of processor time by name of process, times by model, users by what the cache had."""

    cpu_s: Mapping[str, float] = field(default_factory=dict)
    stages: Mapping[str, StageTime] = field(default_factory=dict)
    cache: Mapping[str, float] = field(default_factory=dict)
    degraded: Mapping[str, float] = field(default_factory=dict)


class Observer:
    """Looks at a server from `begin` to `end`; of one on another machine it sees nothing."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._key = read_key(target.repository) if target.repository else ""

    def begin(self) -> None:
        """Note where everything stands; nothing may have been asked for REPORTING seconds."""
        self._stages = self._stage_times()
        self._page = self._scrape()
        self._cpu = self._cpu_now()

    def pause(self) -> None:
        """Note where processor time and stages stand at the end of a run."""
        self._cpu_end, self._stages_end = self._cpu_now(), self._stage_times()

    def end(self) -> Observed:
        """What happened between `begin` and `pause`; to be called REPORTING seconds after `pause`."""
        page = self._scrape()
        return Observed(
            self._spent(),
            {name: after - self._stages.get(name, NOTHING) for name, after in self._stages_end.items()},
            {kind: self._grown(page, "trident_user_embeddings_total", cache=kind) for kind in CACHE} if page else {},
            {r: n for r in DEGRADED if (n := self._grown(page, "trident_degraded_total", reason=r))},
        )

    def _grown(self, page: str, name: str, **labels: str) -> float:
        return total(page, name, **labels) - total(self._page, name, **labels)

    def _spent(self) -> dict[str, float]:
        names, spent = self._target.processes(), dict[str, float]()
        for pid, seconds in self._cpu_end.items():
            name = names.get(pid, "processes that have ended")
            spent[name] = spent.get(name, 0.0) + seconds - self._cpu.get(pid, 0.0)
        return spent

    def _cpu_now(self) -> dict[int, float]:
        return {pid: cpu_seconds(pid) for pid in self._target.processes()}

    def _stage_times(self) -> dict[str, StageTime]:
        return stage_times(self._target.http, self._key) if self._target.http else {}

    def _scrape(self) -> str:
        if not self._target.metrics:
            return ""
        with urllib.request.urlopen(f"http://{self._target.metrics}/metrics", timeout=5) as page:
            return page.read().decode()


def added(parts: Sequence[Observed]) -> Observed:
    """The totals of several runs."""
    return Observed(*(_sums([getattr(part, kind.name) for part in parts]) for kind in fields(Observed)))


def _sums(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: reduce(add, [part[name] for part in parts if name in part]) for name in names}
