"""Whether DuckDB and Spark find the same: every rejected event with its reason, every column of many rows of features.

    make spark
    .venv/bin/python benchmarks/engines.py --events 200000

Spark runs in local mode unless the environment says otherwise. Exit code 1 when a value differs.
`docs/benchmarks/engines.md` has a printed result.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trident.features.registry import ITEM, USER
from trident.features.vocabulary import Vocabulary
from trident_export.data.dataset import Dataset
from trident_export.data.engine import ENGINES, opened
from trident_export.data.report import ValidationReport
from trident_export.data.sources import rules
from trident_export.data.synthetic import Truth, generate
from trident_export.data.validate import validate
from trident_export.features import build_vocabulary, item_rows, user_rows

GROUPS = {"user": (USER, user_rows), "item": (ITEM, item_rows)}
END = datetime(2026, 6, 1, tzinfo=timezone.utc)
Requests = dict[str, tuple[pa.Array, np.ndarray]]
"""Group → ids and unix seconds, (R,) each."""


@dataclass(frozen=True)
class Made:
    """What one engine made."""

    report: ValidationReport
    vocabulary: Vocabulary
    rows: dict[str, np.ndarray]  # group → (R, 40) float32


def main() -> int:
    """Make events, validate them and compute their features on both engines, compare."""
    options = parse()
    names = ("pyspark", "ibis-framework", "duckdb", "numpy", "pandas", "pyarrow")
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    with tempfile.TemporaryDirectory(prefix="trident-engines-", dir=options.folder) as folder:
        raw = generate(Path(folder, "raw"), **sizes(options), days=60, end=END)
        requests: Requests = {}
        made = {name: computed(name, raw, Path(folder), requests, options) for name in ENGINES}
        ours, theirs = made.values()
        differing = compare_reports(Truth.read(raw.truth).planted, ours.report, theirs.report)
        for file in ("events", "quarantine", "users", "items"):
            differing += compare_files(f"{file}.parquet", ours.report.folder, theirs.report.folder)
    print(f"vocabulary: {'the same' if ours.vocabulary == theirs.vocabulary else 'DIFFERENT'}")
    differing += sum(compare_rows(group, ours.rows[group], theirs.rows[group]) for group in GROUPS)
    return 1 if differing or ours.vocabulary != theirs.vocabulary else 0


def parse() -> argparse.Namespace:
    """The sizes of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"events": 200_000, "users": 2_000, "items": 5_000, "requests": 20_000, "seed": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", help="where the temporary files go")
    return parser.parse_args()


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """What the options say of the synthetic data."""
    return {name: getattr(options, name) for name in ("events", "users", "items", "seed")}


def drawn(dataset: Dataset, group: str, options: argparse.Namespace) -> tuple[pa.Array, np.ndarray]:
    """Ids and unix seconds of requests at moments of the log, a tenth of them a year later."""
    table = pq.read_table(dataset.events, columns=[f"{group}_id", "timestamp"])
    rng = np.random.default_rng(options.seed)
    at = np.sort(rng.choice(len(table), min(options.requests, len(table)), replace=False))
    picked = table.take(pa.array(at))
    seconds = picked["timestamp"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000
    seconds = seconds + np.where(rng.random(len(at)) < 0.1, 365 * 86_400, 0)
    return picked[f"{group}_id"].combine_chunks(), seconds


def computed(name: str, raw: Dataset, folder: Path, requests: Requests, options: argparse.Namespace) -> Made:
    """What one engine makes of `raw`, with the seconds of each step; the first engine's events give the requests."""
    with timed(f"{name}: start") as clock, opened(name, folder) as engine:
        clock("validation")
        report = validate(raw, folder / name, replace(rules("synthetic"), now=END), engine)
        for group in GROUPS:
            requests.setdefault(group, drawn(report.dataset, group, options))
        clock("vocabulary")
        vocabulary = build_vocabulary(report.dataset, engine)
        rows = {}
        for group, (_, rows_of) in GROUPS.items():
            clock(f"{len(requests[group][1]):,} {group} rows")
            rows[group] = rows_of(report.dataset, *requests[group], vocabulary, engine)
    return Made(report, vocabulary, rows)


@contextmanager
def timed(step: str) -> Iterator[Callable[[str], None]]:
    """Print how long each step took, in one line; calling what this yields names the next step."""
    started = time.perf_counter()

    def clock(after: str) -> None:
        nonlocal step, started
        print(f"{step} {time.perf_counter() - started:.1f} s", end=", " if after else "\n", flush=True)
        step, started = after, time.perf_counter()

    yield clock
    clock("")


def compare_reports(planted: Mapping[str, int], ours: ValidationReport, theirs: ValidationReport) -> int:
    """Print what was planted and found for each reason; 0 when the two reports are the same in every figure."""
    print(ours.summary())
    print(f"\n{'reason':20}{'planted':>10}{'DuckDB':>10}{'Spark':>10}")
    for reason, found in ours.rejected.items():
        print(f"{reason:20}{planted.get(reason, 0):10,}{found:10,}{theirs.rejected[reason]:10,}")
    same = ours.as_dict() == theirs.as_dict()
    print(f"\nreport: {'the same' if same else 'DIFFERENT'}")
    return int(not same)


def compare_files(name: str, ours: Path, theirs: Path) -> int:
    """Print a line for the file; returns how many values differ, row by row, or rows if one has more."""
    a, b = (pq.read_table(folder / name) for folder in (ours, theirs))
    if len(a) != len(b):
        print(f"{name}: {len(a):,} and {len(b):,} rows")
        return abs(len(a) - len(b))
    pairs = ((a[column].to_pylist(), b[column].to_pylist()) for column in a.column_names)
    differ = sum(x != y for left, right in pairs for x, y in zip(left, right, strict=True))
    print(f"{name}: {len(a):,} rows, {a.num_columns} columns, {differ:,} values differ")
    return differ


def compare_rows(group: str, ours: np.ndarray, theirs: np.ndarray) -> int:
    """Print each column that differs and a line for the group; returns how many values differ, bit for bit."""
    features, _ = GROUPS[group]
    differs = (ours != theirs) & ~(np.isnan(ours) & np.isnan(theirs))
    for column in np.flatnonzero(differs.any(axis=0)).tolist():
        apart = np.abs(ours[:, column].astype(np.float64) - theirs[:, column])
        print(f"  {features[column].name}: {differs[:, column].sum():,} rows, largest {np.nanmax(apart):g}")
    print(f"{group}: {ours.shape[1]} columns, {ours.size:,} values, {differs.sum():,} differ")
    return int(differs.sum())


if __name__ == "__main__":
    sys.exit(main())
