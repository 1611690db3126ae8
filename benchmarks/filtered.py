"""What a filter that leaves almost nothing costs: 100,000 items, of which a region is shown one in 200.

    make demo
    python benchmarks/filtered.py

It makes a release of many items around the models of another release, publishes it into a folder of its own, serves it
with a real Triton and a real Redis, and asks over gRPC, one request after the other, from an open region and from the
filtered one. Every answer is checked: as many items as asked for, each of them allowed, none twice, and all allowed
items among the candidates as far as there is room. Exit code 1 when one is not, or when the p99 is too high.
`docs/benchmarks/filtered.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copytree, ignore_patterns

import numpy as np

from trident.contract import CANDIDATES_PER_USER, DEFAULT_LIMIT
from trident.items import ItemColumns, blocked_words, write_items
from trident.release import MANIFEST, Release
from trident.search import ItemIndex
from trident.serving.serve import serving
from trident.users import UserRows
from trident_client import Recommendation, Recommender
from trident_export.index import build_index, write_index
from trident_export.publishing.golden import write_golden
from trident_export.publishing.publish import publish
from trident_export.writer import write_manifest

NOISE = 0.5  # of an item's vector, relative to the one that it was made from
WARM_UP = 100  # requests


def main() -> int:
    """Make the release, serve it, ask, print."""
    options = parse()
    with tempfile.TemporaryDirectory(prefix="trident-filtered-", dir=options.folder) as folder:
        release = make(Path(folder) / "release", Release.open(options.release), options)
        allowed = {region: shown_in(release.items, code) for region, code in (("open", 1), ("filtered", 0))}
        users = UserRows.open(release.folder / "users").ids
        asking = [user.decode() for user in users.take(np.arange(len(users)))]
        publish(release.folder, Path(folder) / "repository")
        with serving(Path(folder) / "repository") as server, Recommender(server.grpc, deadline=2.0) as recommender:
            measured = {
                name: ask(recommender, release, name, rows, asking, options.requests) for name, rows in allowed.items()
            }
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}")
    print(f"{options.items:,} items, {release.manifest.search['factory']}, nprobe {release.manifest.search['nprobe']}")
    for name, rows in allowed.items():
        p50, p99, most = np.percentile(measured[name], (50, 99, 100))
        print(f"{name:9} {len(rows):7,} items allowed: p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {most:.1f} ms")
    return int(np.percentile(measured["filtered"], 99) >= options.limit_ms)


def parse() -> argparse.Namespace:
    """Sizes and places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/release"), help="whose models are taken")
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--kept", type=float, default=0.005, help="share of the items that the region is shown")
    parser.add_argument("--requests", type=int, default=2_000, help="per region")
    parser.add_argument("--limit-ms", type=float, default=30.0, help="the 99th percentile must stay below")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", help="where the temporary files go")
    return parser.parse_args()


def make(folder: Path, models: Release, options: argparse.Namespace) -> Release:
    """A release of items that are like those of another one, nearly all blocked in its first region."""
    rng = np.random.default_rng(options.seed)
    copytree(models.folder, folder, ignore=ignore_patterns("items", "index.faiss", MANIFEST, "*.html"))
    origin = rng.integers(0, len(models.items), options.items)
    index, settings = build_index(embeddings(models, origin, rng), seed=options.seed)
    write_index(index, folder / "index.faiss")
    blocked = np.where(rng.random(options.items) < options.kept, -1, 0)
    write_like(folder / "items", models, origin, blocked)
    write_manifest(folder, replace(models.manifest, items=options.items, search=asdict(settings)))
    write_golden(folder)
    return Release.open(folder)


def embeddings(models: Release, origin: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The embeddings of the items that were drawn, each moved at random: clusters of unit vectors."""
    index = ItemIndex.open(models.folder / "index.faiss", 1, len(models.items)).index
    vectors = index.reconstruct_batch(origin)
    noise = rng.normal(size=vectors.shape).astype(np.float32) / np.sqrt(vectors.shape[1])
    moved = vectors + NOISE * noise
    return np.ascontiguousarray(moved / np.linalg.norm(moved, axis=1, keepdims=True))


def write_like(folder: Path, models: Release, origin: np.ndarray, blocked: np.ndarray) -> None:
    """Item columns of the items that were drawn; `blocked` (n,) is the code of a region, -1 for none."""
    items, n = models.items, len(origin)
    same = ("features", "vectors", "category", "published_at")
    write_items(
        folder,
        [f"i{row}" for row in range(n)],
        [""] * n,
        items.categories,
        **{name: getattr(items, name)[origin] for name in same},
        age_limit=np.zeros(n),
        in_stock=np.ones(n),
        flagged=np.zeros(n),
        blocked=blocked_words(
            [[code] if code >= 0 else [] for code in blocked.tolist()], len(models.vocabulary.regions)
        ),
        popular=np.tile(np.arange(min(n, 1_000)), (1 + len(models.vocabulary.regions), 1)),
    )


def shown_in(items: ItemColumns, code: int) -> np.ndarray:
    """Rows that are not blocked in a region."""
    return np.flatnonzero(items.blocked[:, 0] >> np.uint64(code) & np.uint64(1) == 0)


def ask(
    recommender: Recommender, release: Release, name: str, allowed: np.ndarray, users: list[str], requests: int
) -> np.ndarray:
    """Milliseconds per request of `users` in turn, from the region in which `allowed` rows are shown."""
    region = release.vocabulary.regions[0 if name == "filtered" else 1]
    rows, spent = set(allowed.tolist()), []
    for number in range(WARM_UP + requests):
        started = time.perf_counter()
        answer = recommender.recommend(users[number % len(users)], region=region, record=False)
        spent.append(1000 * (time.perf_counter() - started))
        check(answer, release.items, rows)
    return np.array(spent[WARM_UP:])


def check(answer: Recommendation, items: ItemColumns, allowed: set[int]) -> None:
    """Exit with what is wrong with an answer."""
    shown = items.rows([item.item_id for item in answer.items]).tolist()
    expected = min(CANDIDATES_PER_USER, answer.funnel["not_seen_lately"])
    if len(set(shown)) != DEFAULT_LIMIT or not set(shown) <= allowed or answer.funnel["candidates"] != expected:
        sys.exit(
            f"expected {DEFAULT_LIMIT} distinct allowed items of {expected} candidates, got {shown}, {answer.funnel}"
        )


if __name__ == "__main__":
    sys.exit(main())
