"""Whether DuckDB and Spark compute the same features: every column of many rows, point in time.

    pip install pyspark
    python benchmarks/engines.py --events 200000

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
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trident.features.registry import ITEM, USER
from trident.features.vocabulary import Vocabulary
from trident_export.data.dataset import Dataset
from trident_export.data.sources import rules
from trident_export.data.synthetic import generate
from trident_export.data.validate import validate
from trident_export.features import build_vocabulary, item_rows, user_rows
from trident_export.features.engines import ENGINES, opened

GROUPS = {"user": (USER, user_rows), "item": (ITEM, item_rows)}


def main() -> int:
    """Make events, compute their features on both engines, compare."""
    options = parse()
    names = ("pyspark", "ibis-framework", "duckdb", "numpy", "pandas", "pyarrow")
    print(f"{len(os.sched_getaffinity(0))} cores, {platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in names))
    with tempfile.TemporaryDirectory(prefix="trident-engines-", dir=options.folder) as folder:
        dataset = clean(Path(folder), options)
        requests = {group: drawn(dataset, group, options) for group in GROUPS}
        made = {name: computed(name, dataset, requests) for name in ENGINES}
    (ours, words), (theirs, others) = (made[name] for name in ENGINES)
    print(f"vocabulary: {'the same' if words == others else 'DIFFERENT'}")
    differing = sum(compare(group, ours[group], theirs[group]) for group in GROUPS)
    return 1 if differing or words != others else 0


def parse() -> argparse.Namespace:
    """The sizes of the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"events": 200_000, "users": 2_000, "items": 5_000, "requests": 20_000, "seed": 7}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", help="where the temporary files go")
    return parser.parse_args()


def clean(folder: Path, options: argparse.Namespace) -> Dataset:
    """Validated synthetic events of 60 days."""
    sizes = {name: getattr(options, name) for name in ("events", "users", "items", "seed")}
    raw = generate(folder / "raw", **sizes, days=60, end=datetime(2026, 6, 1, tzinfo=timezone.utc))
    report = validate(raw, folder / "clean", rules("synthetic"))
    print(report.summary())
    return report.dataset


def drawn(dataset: Dataset, group: str, options: argparse.Namespace) -> tuple[pa.Array, np.ndarray]:
    """Ids and unix seconds of requests at moments of the log, a tenth of them a year later."""
    table = pq.read_table(dataset.events, columns=[f"{group}_id", "timestamp"])
    rng = np.random.default_rng(options.seed)
    at = np.sort(rng.choice(len(table), min(options.requests, len(table)), replace=False))
    picked = table.take(pa.array(at))
    seconds = picked["timestamp"].combine_chunks().cast(pa.int64()).to_numpy() // 1_000_000
    seconds = seconds + np.where(rng.random(len(at)) < 0.1, 365 * 86_400, 0)
    return picked[f"{group}_id"].combine_chunks(), seconds


def computed(
    name: str, dataset: Dataset, requests: dict[str, tuple[pa.Array, np.ndarray]]
) -> tuple[dict[str, np.ndarray], Vocabulary]:
    """The rows of both groups and the vocabulary by one engine, with the seconds that each took."""
    started = time.perf_counter()
    with opened(name, dataset.folder) as engine:
        print(f"{name}: start {time.perf_counter() - started:.1f} s", end="", flush=True)
        started = time.perf_counter()
        vocabulary = build_vocabulary(dataset, engine)
        print(f", vocabulary {time.perf_counter() - started:.1f} s", end="", flush=True)
        made = {}
        for group, (_, rows_of) in GROUPS.items():
            started = time.perf_counter()
            made[group] = rows_of(dataset, *requests[group], vocabulary, engine)
            print(f", {len(made[group]):,} {group} rows {time.perf_counter() - started:.1f} s", end="", flush=True)
    print()
    return made, vocabulary


def compare(group: str, ours: np.ndarray, theirs: np.ndarray) -> int:
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
