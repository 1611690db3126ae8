"""Search over millions of items on one core: what a release gives, and which kind of index gives it cheapest.

    trident build --source scale --items 10000000 --out build/scale10m
    python benchmarks/search.py --release build/scale10m
    python benchmarks/search.py --release build/scale10m --sweep IVF4096,SQ8 "IVF4096,PQ64x4fs,Refine(SQ8)"

The first prints median and 99th percentile of the search of that release as serving does it, the processor time it
takes, which other programs disturb less, and the recall of the exact 500 nearest items: without a filter, under filters
drawn evenly, and under one that takes whole categories. The users and the filters are others than those its settings
were chosen with. Then it searches for users who were shown what is nearest, as serving does and with the filter inside
FAISS, and compares what both find. With --sweep it builds each kind of index, finds its cheapest settings and what a
process holds of it on its heap, and appends them to `sweep.json` in --work, where exact search and lists are kept too:
one kind can be added after the other. --plot draws what is there. `docs/benchmarks/search.md` has a printed result.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from trident.bitmap import without
from trident.contract import CANDIDATES_PER_USER, USER_TOWER
from trident.onnx import OnnxModel
from trident.release import Release
from trident.search import ItemIndex
from trident.taste import pool
from trident.users import UserRows
from trident_export.index import write_index
from trident_export.index_fill import Lists, filled
from trident_export.index_kinds import RECALL, Kind, kinds_for, with_lists
from trident_export.index_plot import frontier_plot
from trident_export.index_sweep import Choice, Sweep, one_thread
from trident_export.index_truth import Truth
from trident_export.scale_vectors import HalfVectors

QUERIES, SEED = 200, 20
REPEATED, REPEATS = 60, 8
SHARES = (1.0, 0.9, 0.3, 0.1, 0.01)
SHOWN = (0, 500, 1_000, 2_000)  # items
SWEPT = 3  # of the filters, that settings must hold their recall under
CODES = (
    "SQ8",
    "SQ4,Refine(SQ8)",
    "RaBitQ,Refine(SQ8)",
    "PQ64x4fs,Refine(SQ8)",
    "SQfp16",
    "Flat",
)


def main() -> None:
    """Measure the release, or sweep kinds."""
    options = parse()
    release = Release.open(options.release)
    bench = Bench(release, options.work)
    print(f"{len(os.sched_getaffinity(0))} cores, {processor()}, {platform.platform()}, faiss {faiss.__version__}")
    if options.sweep is not None:
        for factory in options.sweep or kinds(len(release.items)):
            bench.sweep(Kind.of(factory), options.recall)
        print(bench.table())
    elif not options.plot:
        bench.served()
    if options.plot:
        options.plot.write_text(frontier_plot(bench.points(), RECALL), "utf-8")


def parse() -> argparse.Namespace:
    """What to measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/scale10m"), help="made by --source scale")
    parser.add_argument("--work", type=Path, default=Path("build/search"), help="what is kept between runs")
    parser.add_argument("--sweep", nargs="*", metavar="KIND", help="kinds to build and measure; none: the usual ones")
    parser.add_argument("--recall", type=float, default=RECALL)
    parser.add_argument("--plot", type=Path, help="write the frontier of what was swept as SVG")
    return parser.parse_args()


def kinds(items: int) -> list[str]:
    """As many lists as `trident build` takes, with all codes, and with the first ones a third of the lists."""
    lists = kinds_for(items, 0)[0].lists
    return [f"{with_lists(lists // 3)},{CODES[0]}", *(f"{with_lists(lists)},{codes}" for codes in CODES)]


def processor() -> str:
    """The name of the processor."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


@dataclass
class Bench:
    """A scale release, whose vectors are its embeddings, and what is kept of it in a folder."""

    release: Release
    work: Path

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        self.vectors = HalfVectors(np.asarray(self.release.items.vectors))
        self.truth = self._kept("truth", self._exact)

    def served(self) -> None:
        """Print what the search of the release gives."""
        search = self.release.manifest.search
        index = ItemIndex.served(self.release.folder / "index.faiss", search, len(self.vectors))
        how = f"nprobe {index.nprobe}, widening {index.widening}, k_factor {search.get('k_factor', 1):g}"
        print(f"{len(self.vectors):,} items, {search['factory']}, {how}, k {self.truth.k}, one thread")
        sweep = Sweep(search["factory"], index.index, self.truth, self.vectors)
        for which, allowed in enumerate(self.truth.filters):
            sweep.measured(index, which, None)  # pages that a new process has yet to map
            point = sweep.measured(index, which, None)
            name = f"{allowed.share:.0%} allowed" if which < len(SHARES) else "a third of the categories allowed"
            figures = f"recall@{self.truth.k} {point.recall:.4f}, p50 {point.p50_ms:.2f} ms, p99 {point.p99_ms:.2f} ms"
            figures += f"; processor time {point.cpu_ms:.2f} ms, best of {REPEATS}: {self._best(index, which):.2f} ms"
            print(f"{name:34} {allowed.count:10,} items: {figures}")

        for shown in SHOWN:
            print(f"{shown:5,} nearest shown: {self._shown(index, shown)}")

    def _shown(self, index: ItemIndex, shown: int) -> str:
        """How long searching takes for users who were shown that many of what is nearest, in the two ways."""
        spent: tuple[list[float], list[float]] = ([], [])
        everything = np.packbits(np.ones(len(self.vectors), bool), bitorder="little")
        left = len(self.vectors) - shown
        ways = (
            lambda query, allowed: index.search(query, self.truth.k, allowed, left, shown),
            lambda query, allowed: index.read(query, self.truth.k, allowed, index.nprobe_for(left)),
        )
        with one_thread():
            for query in self.truth.queries:
                seen = index.read(query, max(shown, 1), everything, index.nprobe)[0][:shown]
                with without(everything, seen):
                    found = []
                    for way, times in zip(ways, spent, strict=True):
                        started = time.thread_time()
                        found.append(way(query, everything))
                        times.append(1000 * (time.thread_time() - started))
                if not np.array_equal(found[0], found[1]):
                    raise AssertionError("both ways must find the same items with the same similarity")
        served, inside = (float(np.median(times)) for times in spent)
        return f"processor time {served:.2f} ms, with the filter inside {inside:.2f} ms; the same items"

    def _best(self, index: ItemIndex, which: int) -> float:
        """Median over some queries of the least processor time, milliseconds: what a search costs undisturbed."""
        allowed, spent = self.truth.filters[which], []
        with one_thread():
            for query in self.truth.queries[:REPEATED]:
                times = []
                for _ in range(REPEATS):
                    started = time.thread_time()
                    index.search(query, self.truth.k, allowed.bitmap, allowed.count)
                    times.append(1000 * (time.thread_time() - started))
                spent.append(min(times))
        return float(np.median(spent))

    def sweep(self, kind: Kind, target: float) -> None:
        """Build a kind, map it, find its cheapest settings for each k_factor, and keep all points."""
        started, path, rng = time.perf_counter(), self.work / "index.faiss", np.random.default_rng(SEED)
        lists = self._kept(kind.coarse, lambda: self._lists(kind)) if kind.lists else None
        write_index(filled(kind, self.vectors, lists, rng), path)
        built = time.perf_counter() - started
        before = heap()
        index = ItemIndex.open(path, 1, len(self.vectors)).index
        held = heap() - before
        truth = Truth(self.truth.queries, self.truth.k, self.truth.filters[:SWEPT])
        sweep = Sweep(kind.factory, index, truth, self.vectors)
        choices = [sweep.choose(k_factor, target) for k_factor in kind.k_factors]
        row = {"factory": kind.factory, "built_s": built, "bytes": path.stat().st_size, "heap": held}
        self._append(
            {**row, "choices": [chosen(choice) for choice in choices], "points": list(map(asdict, sweep.points))}
        )
        path.unlink()
        print(f"{kind.factory}: {time.perf_counter() - started:.0f} s", flush=True)

    def table(self) -> str:
        """The cheapest settings of each kind, as Markdown."""
        lines = [
            "| index | k_factor | nprobe | widening | recall@500: all, 90 %, 30 % allowed | p50 ms | p99 ms "
            "| processor ms | GB | heap MB |",
            "|---|---|---|---|---|---|---|---|---|---|",
        ]
        for row in self._rows():
            for choice in row["choices"]:
                given = choice["given"]
                recall, p50, p99, cpu = (
                    ", ".join(f"{point[name]:{form}}" for point in given)
                    for name, form in (("recall", ".3f"), ("p50_ms", ".2f"), ("p99_ms", ".1f"), ("cpu_ms", ".2f"))
                )
                how = f"{choice['k_factor']:g} | {choice['nprobe']} | {choice['widening']:g}"
                size = f"{row['bytes'] / 1e9:.2f} | {row['heap'] / 1e6:.0f}"
                lines.append(f"| {row['factory']} | {how} | {recall} | {p50} | {p99} | {cpu} | {size} |")
        return "\n".join(lines)

    def points(self) -> list[dict[str, Any]]:
        """Every point that was measured."""
        return [point for row in self._rows() for point in row["points"]]

    def _exact(self) -> Truth:
        users = UserRows.open(self.release.folder / "users")
        rng = np.random.default_rng(SEED)
        asking = rng.permutation(len(users))[:QUERIES]
        tower = OnnxModel.of(USER_TOWER, self.release.folder / "user_tower" / "model.onnx")
        taste = pool(users.history[asking], self.release.items.vectors)
        queries = tower(user_features=users.features[asking], taste=taste)["user_embedding"]
        masks = [(share, rng.random(len(self.vectors)) < share) for share in SHARES]
        third = np.asarray(self.release.items.category) % 3 == 0
        return Truth.under(self.vectors, queries, CANDIDATES_PER_USER, [*masks, (float(third.mean()), third)])

    def _lists(self, kind: Kind) -> Lists:
        return Lists.learned(self.vectors, kind, np.random.default_rng(SEED))

    def _kept(self, name: str, make: Any) -> Any:
        path = self.work / f"{name}.pickle"
        if not path.is_file():
            started = time.perf_counter()
            path.write_bytes(pickle.dumps(make()))
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
        return pickle.loads(path.read_bytes())

    def _rows(self) -> list[dict[str, Any]]:
        path = self.work / "sweep.json"
        return json.loads(path.read_text("utf-8")) if path.is_file() else []

    def _append(self, row: dict[str, Any]) -> None:
        rows = [other for other in self._rows() if other["factory"] != row["factory"]]
        (self.work / "sweep.json").write_text(json.dumps([*rows, row], indent=1), "utf-8")


def chosen(choice: Choice) -> dict[str, Any]:
    """The settings of a choice and what they give."""
    settings = {"k_factor": choice.k_factor, "nprobe": choice.index.nprobe, "widening": choice.index.widening}
    return {**settings, "given": [asdict(point) for point in choice.given]}


def heap() -> int:
    """Bytes of this process that no other shares."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    main()
