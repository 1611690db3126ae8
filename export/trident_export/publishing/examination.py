"""The examination of a release before it is published: is it whole, does it fit together, is it good enough?

    python -m trident_export.publishing.examination < question.json

The question is {"release": folder, "against": [repository, number] or null, "gates": {...}}; the answer, on the last
line of standard output, {"problem": text or null, "checks": [...]}. A problem means that the release is broken. The
checks are the quality gates, of which `publish` may pass over one that failed. What is examined may crash a library
that reads it; so this runs in a process of its own, whose last line on standard error says what it was at.

The digests of the files are the caller's to check, before anything else reads them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trident.contract import USER_ENCODER
from trident.errors import ReleaseError, TridentError
from trident.release import Manifest, Release
from trident.rules import Rules
from trident_export.parts import require_fitting
from trident_export.publishing import gates as gate
from trident_export.publishing.golden import replay
from trident_export.publishing.measures import closeness, recall, side_by_side
from trident_export.publishing.soundness.forest import require_forest
from trident_export.publishing.soundness.index import require_index
from trident_export.publishing.soundness.items import require_items
from trident_export.publishing.soundness.manifest import require_manifest
from trident_export.publishing.soundness.tower import require_tower
from trident_export.publishing.soundness.users import require_users

NICE = 10
"""How much less urgent the child is than the server whose cores it may share."""

Say = Callable[[str], object]
Running = tuple[Path, int]

STEPS: Mapping[str, Callable[[Release], object]] = {
    "manifest": require_manifest,
    "parts": lambda release: require_fitting(release.folder, release.manifest),
    "rules": lambda release: Rules.read(release.folder / "rules.toml"),
    "item columns": require_items,
    "user rows": require_users,
    "user tower": lambda release: require_tower(release.folder),
    "index": require_index,
    "ranker": lambda release: require_forest(release.folder),
    "golden requests": replay,
}
"""What is examined, in this order."""

Place = tuple[tuple[str, ...], tuple[str, ...]]
SHOWN, ANSWERS = ("test", "ranker", "impressions"), "end to end, rules on"
AUC: Place = (*SHOWN, "auc"), (*SHOWN, "intervals", "auc")
NDCG: Place = ("test", "methods", ANSWERS, "ndcg@20"), ("test", "intervals", ANSWERS, "ndcg@20")
"""Where the metrics of a manifest hold what the gates compare, and its interval."""


def examine(question: Mapping[str, Any], say: Say = lambda step: None) -> dict[str, Any]:
    """Examine a release in this process; `say` hears what is examined next. See the module for question and answer."""
    against = question.get("against")
    running = (Path(against[0]), int(against[1])) if against else None
    try:
        release = _sound(Path(question["release"]), say)
        gates = gate.complete(question.get("gates") or {}, gate.read_gates(), "gates")
        checks = _checks(release, running, gates, say)
    except TridentError as error:
        return {"problem": str(error), "checks": []}
    return {"problem": None, "checks": [check.as_dict() for check in checks]}


def _sound(folder: Path, say: Say) -> Release:
    say("manifest")
    release = Release.open(folder)
    for name, require in STEPS.items():
        say(name)
        with _named(name):
            require(release)
    return release


@contextmanager
def _named(step: str) -> Iterator[None]:
    """Say in which step a library could not go on."""
    try:
        yield
    except TridentError:
        raise
    except Exception as error:
        raise ReleaseError(f"{step}: cannot be read: {type(error).__name__}: {str(error)[:200]}") from error


def _checks(release: Release, running: Running | None, gates: gate.Gates, say: Say) -> list[gate.Check]:
    say("recall")
    queries = int(gates["recall"]["queries"])
    with _named("recall"):
        measured, nearer = recall(release, queries), closeness(release, queries)
    checks = [gate.at_least("recall@500", measured, gates["recall"]["least"]), _own_items(nearer, gates)]
    say("running release")
    names = ("AUC", "NDCG@20", "latency", "changed items", "items")
    if running is None:
        return checks + [gate.not_compared(name, "no release is running") for name in names]
    try:
        before = Manifest.read(running[0] / USER_ENCODER.name / str(running[1]) / "manifest.json")
        return checks + _compared(release, before, running, gates)
    except Exception as error:  # one of another format or a damaged one: it cannot keep its successor out
        why = f"the running release cannot be asked: {type(error).__name__}: {str(error)[:200]}"
        return checks + [gate.not_compared(name, why) for name in names]


def _own_items(nearer: float | None, gates: gate.Gates) -> gate.Check:
    if nearer is None:
        return gate.not_compared("own items", "no user has a history")
    return gate.at_least("own items", nearer, gates["own_items"]["least"])


def _compared(release: Release, before: Manifest, running: Running, gates: gate.Gates) -> list[gate.Check]:
    now, changed = release.manifest, gates["changed"]
    both = side_by_side(release, *running, int(changed["users"]))
    slowest = max(both.running_ms * gates["latency"]["most_times"], both.running_ms + gates["latency"]["always_ms"])
    fewest = before.items * (1 - gates["items"]["most_lost"])
    return [
        gate.compared("AUC", _metric(now, AUC), _metric(before, AUC), gates["auc"]["most_lost"]),
        gate.compared("NDCG@20", _metric(now, NDCG), _metric(before, NDCG), gates["ndcg"]["most_lost"]),
        gate.at_most("latency, ms", round(both.new_ms, 3), round(slowest, 3), round(both.running_ms, 3)),
        gate.within("changed items", both.changed, changed["least"], changed["most"]),
        gate.at_least("items", now.items, fewest, before.items),
    ]


def _metric(manifest: Manifest, place: Place) -> gate.Metric:
    return gate.Metric.of(*(_found(manifest.metrics, path) for path in place))


def _found(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def main() -> None:
    """Answer the question on standard input, behind what serves on this machine."""
    os.nice(NICE)
    question = json.load(sys.stdin)
    answer = examine(question, lambda step: print(f"examining: {step}", file=sys.stderr, flush=True))
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
