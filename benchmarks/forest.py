"""The ranker's kernel beside what else scores a LightGBM forest, at equal answers.

    pip install '.[serve,export,bench]'
    python benchmarks/forest.py --work build/forest --release build/release --movielens FOLDER

Trains forests of 100 trees with 31 leaves, 300 with 63 and 500 with 127 on synthetic rows of 120 columns, of which 60
are the same for all rows of a user, as in a request; adds the forests of releases, and one learned from MovieLens 100K.
Every library scores the same rows, in turns, and is compared with LightGBM. lleaves and nvForest get environments of
their own. Prints Markdown, and writes forest.json and forest.svg. `docs/benchmarks/forest.md` has a printed result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import lightgbm
import numpy as np
import treelite
from forest_libraries import LIBRARIES, Elsewhere, Here, Model, NotMeasuredError, opened

from trident.contract import CANDIDATES_PER_USER, FEATURES
from trident.forest.runs import shared_columns
from trident_export.data.charts import rows as bars

SIZES = ((100, 31), (300, 63), (500, 127))
ROWS = (1, 50, 500, 5_000, 32_000)
TRAINING_ROWS, ROWS_PER_USER, PAIRS = 60_000, 20, 60
MISSING = 0.05
SHORT = 0.01
"""Seconds that one turn of a library takes at least, by asking it several times."""
AGREE = 1e-6
HUGE = 1e30
"""LightGBM's thresholds above that only part missing values from others."""
GOAL = ("300 trees x 63 leaves", 500, 1)
STYLE = "<style>text{font:13px sans-serif;fill:#57606a}.name{fill:#24292f}.mark{fill:#0969da}</style>"


@dataclass(frozen=True)
class Figure:
    """One library on one forest: median milliseconds, or why there is none."""

    model: str
    rows: int
    threads: int
    library: str
    ms: float = float("nan")
    difference: float = float("nan")  # largest one from LightGBM
    problem: str = ""


def main() -> None:
    """Measure, and print a table per forest and number of threads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("build/forest"), help="forests, compiled code, environments")
    parser.add_argument("--out", type=Path, help="where forest.json and forest.svg go; default: --work")
    parser.add_argument("--release", type=Path, action="append", default=[], help="a release folder; may be repeated")
    parser.add_argument("--movielens", type=Path, help="folder of MovieLens 100K, of which a release is built")
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--libraries", nargs="+", default=list(LIBRARIES), choices=list(LIBRARIES))
    parser.add_argument("--sizes", type=int, nargs="*", default=[t for t, _ in SIZES], help="synthetic ones, by trees")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    print(f"{len(os.sched_getaffinity(0))} cores, {_processor()}, Python {platform.python_version()}\n")
    figures: list[Figure] = []
    for model in _models(options.work, options.sizes, options.release, options.movielens):
        for threads in options.threads:
            made = list(_measured(model, threads, options.rows, options.libraries, options.repeats, options.work))
            print(_table(made, options.rows), flush=True)
            figures += made
    out = options.out or options.work
    (out / "forest.json").write_text(json.dumps([asdict(figure) for figure in figures], indent=1))
    _conclude(figures, out)


def _models(work: Path, sizes: Sequence[int], releases: Sequence[Path], movielens: Path | None) -> Iterator[Model]:
    for trees, leaves in SIZES:
        if trees in sizes:
            yield _trained(work / f"{trees}x{leaves}", trees, leaves)
    if movielens is not None:
        built = work / "movielens"
        if not built.exists():
            command = ["build", "--source", "movielens", "--path", str(movielens), "--out", str(built)]
            subprocess.run([str(Path(sys.executable).with_name("trident")), *command], check=True)
        yield _of_release(built, work, "MovieLens 100K")
    for release in releases:
        yield _of_release(release, work, f"release {release.name}")


def _trained(folder: Path, trees: int, leaves: int) -> Model:
    model = Model(f"{trees} trees x {leaves} leaves", folder)
    if model.checkpoint.exists():
        return model
    rng = np.random.default_rng(0)
    x = _rows_of_users(TRAINING_ROWS, ROWS_PER_USER, rng)
    known = np.nan_to_num(x)
    score = known @ rng.normal(size=FEATURES) / 11
    score += sum(known[:, a] * known[:, b] for a, b in rng.integers(0, FEATURES, (PAIRS, 2))) / 8
    clicked = score + rng.logistic(size=len(x)) / 2 > 0
    settings = {"objective": "binary", "num_leaves": leaves, "verbose": -1, "seed": 0}
    return _saved(lightgbm.train(settings, lightgbm.Dataset(x, clicked), trees), model)


def _of_release(release: Path, work: Path, name: str) -> Model:
    booster = lightgbm.Booster(model_file=release / "ranker" / "model.txt")
    leaves = booster.trees_to_dataframe().query("left_child.isna()").groupby("tree_index").size().max()
    model = Model(f"{name}, {booster.num_trees()} trees x {leaves} leaves", work / release.name / "forest")
    return _saved(booster, model)


def _saved(booster: lightgbm.Booster, model: Model) -> Model:
    model.folder.mkdir(parents=True, exist_ok=True)
    booster.save_model(model.text)
    treelite.frontend.from_lightgbm(lightgbm.Booster(model_file=model.text)).serialize(model.checkpoint)
    return model


def _rows_of_users(n: int, per_user: int, rng: np.random.Generator) -> np.ndarray:
    rows = rng.normal(size=(n, FEATURES)).astype(np.float32)
    rows[rng.random(rows.shape) < MISSING] = np.nan
    return _shared(rows, per_user)


def _shared(rows: np.ndarray, per_user: int) -> np.ndarray:
    """The same with the columns of user and context equal in each block of so many rows."""
    shared, first = shared_columns(FEATURES), np.arange(len(rows)) // per_user * per_user
    rows[:, shared] = rows[np.ix_(first, shared)]
    return rows


def _rows_about_splits(booster: lightgbm.Booster, n: int, rng: np.random.Generator) -> np.ndarray:
    """Rows whose values lie about the thresholds of their column, as those of real rows do."""
    rows = _rows_of_users(n, 1, rng)
    splits = booster.trees_to_dataframe().dropna(subset=["split_feature"])
    for column, name in enumerate(booster.feature_name()):
        own = splits.loc[splits["split_feature"] == name, "threshold"].to_numpy(float)
        own = own[np.abs(own) < HUGE]
        if len(own):
            drawn = rng.choice(own, n) + rng.normal(scale=own.std() / 10 + 1e-3, size=n)
            rows[:, column] = np.where(np.isnan(rows[:, column]), np.nan, drawn)
    return _shared(rows, CANDIDATES_PER_USER)


def _measured(
    model: Model, threads: int, sizes: Sequence[int], names: Sequence[str], repeats: int, work: Path
) -> Iterator[Figure]:
    with ExitStack() as stack:
        here: dict[str, Here | Elsewhere] = {}
        for name in names:
            try:
                here[name] = opened(name, model, threads, work)
                stack.callback(here[name].close)
            except NotMeasuredError as reason:
                yield from (Figure(model.name, n, threads, name, problem=str(reason)) for n in sizes)
        booster = lightgbm.Booster(model_file=model.text)
        for n in sizes:
            path = model.folder / f"rows-{n}.npy"
            np.save(path, _rows_about_splits(booster, n, np.random.default_rng(n)))
            yield from _in_turns(model.name, path, n, threads, here, repeats)


def _in_turns(
    model: str, path: Path, n: int, threads: int, libraries: dict[str, Here | Elsewhere], repeats: int
) -> Iterator[Figure]:
    calls = dict.fromkeys(libraries, 1)
    for name, library in libraries.items():
        library.seconds(path, 1)  # warms up
        calls[name] = max(1, min(1000, int(SHORT / library.seconds(path, 1))))
    spent = [{name: library.seconds(path, calls[name]) for name, library in libraries.items()} for _ in range(repeats)]
    expected = np.asarray(lightgbm.Booster(model_file=path.with_name("model.txt")).predict(np.load(path)))
    for name, library in libraries.items():
        ms = 1000 * float(np.median([turn[name] for turn in spent]))
        yield Figure(model, n, threads, name, ms, float(np.abs(library.scores(path) - expected).max()))


def _table(figures: Sequence[Figure], sizes: Sequence[int]) -> str:
    first = figures[0]
    lines = [
        f"**{first.model}, {first.threads} thread{'s' * (first.threads > 1)}**, median ms",
        "",
        "| | " + " | ".join(f"{n:,} row{'s' * (n > 1)}" for n in sizes) + " | largest difference |",
        "|---|" + "---|" * (len(sizes) + 1),
    ]
    by_library: dict[str, list[Figure]] = {name: [] for name in LIBRARIES}
    for figure in figures:
        by_library[figure.library].append(figure)
    for name, own in by_library.items():
        if own and own[0].problem:
            lines.append(f"| {name} | " + " | ".join("not measured" for _ in sizes) + f" | {own[0].problem} |")
        elif own:
            worst = max(figure.difference for figure in own)
            cells = [f"{figure.ms:.3f}" if figure.ms < 10 else f"{figure.ms:.1f}" for figure in own]
            lines.append(f"| {name} | {' | '.join(cells)} | {worst:.0e}{' (differs)' * (worst > AGREE)} |")
    return "\n".join([*lines, ""])


def _conclude(figures: Sequence[Figure], out: Path) -> None:
    """Say how far ahead the kernel is where it matters most, and draw it."""
    goal = [f for f in figures if (f.model, f.rows, f.threads) == GOAL and not f.problem]
    others = [f for f in goal if f.library != "Trident" and f.difference <= AGREE]
    ours = next((f for f in goal if f.library == "Trident"), None)
    if ours is None or not others:
        return
    best = min(others, key=lambda f: f.ms)
    print(
        f"{GOAL[0]}, {GOAL[1]} rows, one thread: {ours.ms:.3f} ms; the best library, {best.library}: {best.ms:.3f} ms, "
        f"{best.ms / ours.ms:.1f} times as long. Largest difference from LightGBM: {ours.difference:.1e}."
    )
    values = [(f.library, f.ms, f"{f.ms:.2f} ms") for f in sorted(goal, key=lambda f: f.ms)]
    drawn = bars(values, "mark", f"Milliseconds for {GOAL[1]} rows through {GOAL[0]}, one thread, by library")
    head, rest = drawn.split(">", 1)
    svg = head.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"') + ">" + STYLE + rest
    (out / "forest.svg").write_text(svg + "\n")


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return name + (" with AVX-512" if any("avx512f" in line for line in lines) else "")


if __name__ == "__main__":
    main()
