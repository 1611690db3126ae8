"""What becomes of damaged releases: each is published into a repository that a real server serves.

    python benchmarks/damaged_releases.py [--release FOLDER --other FOLDER] [--every N] [--in-process]

Two small releases are built, unless two are given; the first is published and served. Then hundreds of damaged copies
of it are published, one after another. Each must be refused with the reason that fits its damage, and afterwards the
server must be as it was: its answers, its readiness, the versions it has loaded, and every file of the repository and
beside it. Exit code 1 when anything is otherwise. `docs/benchmarks/damaged_releases.md` has a printed result.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import tritonclient.grpc as grpc
from damages import Damage, damages

from trident.errors import ReleaseError
from trident.release import Release
from trident.serving.control_key import grpc_headers
from trident.serving.serve import Serving, serving
from trident.users import UserRows
from trident_client import Recommender
from trident_export.build import build
from trident_export.build_config import BuildConfig
from trident_export.build_source import synthetic_source
from trident_export.publishing.control import Control
from trident_export.publishing.examination import examine
from trident_export.publishing.publish import Server, publish
from trident_export.ranker import RankerConfig
from trident_export.samples import SampleConfig
from trident_export.towers import TowerConfig

END = datetime(2026, 6, 1, tzinfo=timezone.utc)
ASKED = 10  # users
LOOK = 25  # damages between two looks at the whole server
SHOWN = 110  # characters of a reason


@dataclass(frozen=True)
class Outcome:
    """What became of one damaged release; `said` is the refusal, "" when it was published."""

    damage: Damage
    said: str

    @property
    def holds(self) -> bool:
        """Whether it was refused for the reason that fits."""
        return bool(self.said) and re.search(self.damage.reason, self.said) is not None


def main() -> int:
    """Try them all, print the table, and tell whether everything was refused and nothing changed."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="trident-damaged-", dir=options.folder) as name:
        folder = Path(name)
        good = options.release or small_release(folder / "good", 7)
        other = options.other or small_release(folder / "other", 8)
        chosen = list(damages(good, other))[:: options.every]
        started = time.perf_counter()
        if options.in_process:
            outcomes, changed = [tried(damage, good, folder / "damaged" / "release", examined) for damage in chosen], []
        else:
            outcomes, changed = against_a_server(chosen, good, folder)
        show(outcomes, time.perf_counter() - started)
    for line in changed:
        print(f"changed: {line}")
    if not options.in_process:
        print("the server is as it was" if not changed else f"{len(changed)} times the server was not as before")
    return 0 if not changed and all(outcome.holds for outcome in outcomes) else 1


def against_a_server(chosen: list[Damage], good: Path, folder: Path) -> tuple[list[Outcome], list[str]]:
    """Publish the damaged releases where a good one serves; returns what became of them, and whatever changed."""
    repository = folder / "served" / "repository"
    publish(good, repository)
    outcomes, changed = [], []
    with serving(repository) as running:
        server = Server(Control(running.grpc, running.key), running.redis_url)
        before = state(running, good, repository)
        for number, damage in enumerate(chosen):
            published = partial(refused, repository=repository, server=server)
            outcomes.append(tried(damage, good, folder / "damaged" / "release", published))
            if listing(repository) != before["files"]:
                changed.append(f"the repository after: {damage.kind}, {damage.name}")
            if number % LOOK == 0 or damage is chosen[-1]:
                changed += differences(before, state(running, good, repository), damage)
    return outcomes, changed


def parse() -> argparse.Namespace:
    """Which releases, and how many damages."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, help="a good release; default: a small one is built")
    parser.add_argument("--other", type=Path, help="a release of other data; default: a small one is built")
    parser.add_argument("--every", type=int, default=1, help="take only every so many-th damage")
    parser.add_argument("--in-process", action="store_true", help="without a server: what the examination says")
    parser.add_argument("--folder", help="where the temporary files go")
    return parser.parse_args()


def small_release(folder: Path, seed: int) -> Path:
    """A release learned from a small marketplace."""
    config = BuildConfig(
        towers=TowerConfig(epochs=3),
        samples=SampleConfig(requests=300),
        ranker=RankerConfig(trees=60),
        item_snapshots=12,
    )
    build(synthetic_source(users=300, items=800, events=20_000, days=30, seed=seed, end=END), folder, config)
    return folder


def tried(damage: Damage, good: Path, folder: Path, refusal: Callable[[Path], str]) -> Outcome:
    """Make one damaged release and have it refused."""
    with fresh(folder.parent):
        damage.make(good, folder)
        return Outcome(damage, refusal(folder))


def refused(folder: Path, repository: Path, server: Server) -> str:
    """Why a release is not published, "" when it is."""
    try:
        publish(folder, repository, server)
    except ReleaseError as error:
        return str(error)
    return ""


def examined(folder: Path) -> str:
    """The same, without a server, asked in this process."""
    try:
        Release.open(folder).verify()
    except ReleaseError as error:
        return str(error)
    return examine({"release": str(folder), "against": None, "gates": {}})["problem"] or ""


@contextmanager
def fresh(folder: Path) -> Iterator[None]:
    """An empty folder, removed afterwards."""
    folder.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(folder)


def state(running: Serving, good: Path, repository: Path) -> dict[str, Any]:
    """Everything about the server and its files that a refused release must leave as it is."""
    release = Release.open(good)
    users = UserRows.open(good / "users").ids
    with Recommender(running.grpc, deadline=5) as recommender:
        answers = [
            recommender.recommend(users[row].decode(), timestamp=release.manifest.as_of, record=False)
            for row in range(0, len(users), max(1, len(users) // ASKED))
        ]
    with grpc.InferenceServerClient(running.grpc) as client:
        index = client.get_model_repository_index(headers=grpc_headers(running.key))
        ready = client.is_server_ready(), client.is_model_ready("recommend")
    return {
        "answers": [(a.release, a.item_ids, [i.score for i in a.items], a.degraded) for a in answers],
        "readiness": ready,
        "loaded versions": sorted((m.name, m.version, m.state, m.reason) for m in index.models),
        "files": listing(repository),
    }


def listing(repository: Path) -> dict[str, tuple[int, ...]]:
    """Every file and folder of the repository and beside it, but for the log of the server: inode, size, time."""
    found = sorted(repository.parent.rglob("*"))
    stats = {str(path.relative_to(repository.parent)): path.lstat() for path in found}
    return {name: (s.st_ino, s.st_size, s.st_mtime_ns) for name, s in stats.items() if name != repository.name}


def differences(before: dict[str, Any], now: dict[str, Any], damage: Damage) -> list[str]:
    """What is not as before."""
    return [f"{name} after: {damage.kind}, {damage.name}" for name in before if before[name] != now[name]]


def show(outcomes: list[Outcome], seconds: float) -> None:
    """Print a line per kind of damage, and whatever was not refused for the reason that fits."""
    print("| damage | releases | refused | for the reason that fits | for example |\n|---|---|---|---|---|")
    for kind in dict.fromkeys(outcome.damage.kind for outcome in outcomes):
        own = [outcome for outcome in outcomes if outcome.damage.kind == kind]
        refused, fitting = sum(bool(o.said) for o in own), sum(o.holds for o in own)
        example = own[len(own) // 2].said.replace("|", "/").splitlines() or ["published"]
        print(f"| {kind} | {len(own)} | {refused} | {fitting} | {example[0][:SHOWN]} |")
    refused, fitting = sum(bool(o.said) for o in outcomes), sum(o.holds for o in outcomes)
    print(
        f"\n{len(outcomes)} damaged releases in {seconds:.0f} s, {refused} refused, {fitting} for the reason that fits"
    )
    for outcome in outcomes:
        if not outcome.holds:
            print(f"{outcome.damage.kind}, {outcome.damage.name}: expected {outcome.damage.reason}, got {outcome.said}")


if __name__ == "__main__":
    sys.exit(main())
