"""What logging impressions and feature rows costs: milliseconds of the last step, bytes of Redis, rows per second out.

    python benchmarks/impressions.py [--release build/release] [--rounds 60]

The stages of a release in this process over the embedded Redis on a unix socket, one user per request. The settings
take turns request by request, so that a noisy machine is as noisy for each. "rows" is an answer whose feature rows are
logged, which by default one of a hundred is.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from trident.contract import BUSINESS_RULES, RENAMED
from trident.pipeline import Pipeline
from trident.requests import Tensors
from trident.serving.redis import EmbeddedRedis
from trident.settings import Settings
from trident.stages.business_rules import BusinessRules
from trident.stages.host import Host
from trident.stages.ranking_features import RankingFeatures
from trident.state.connection import connect
from trident.state.impressions import FEATURE_ROWS, IMPRESSIONS
from trident_export.impressions_pull import pull_shown

SHARES = {"off": (0.0, 0.0), "impressions": (1.0, 0.0), "rows": (1.0, 1.0)}
USERS, WARM = 40, 200
MATRIX_FROM = ("candidate_rows", "similarity", "user_features", "context_features", "request_time")


def main() -> None:
    """Print one line per figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=Path, default=Path("build/release"))
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    with EmbeddedRedis() as server, tempfile.TemporaryDirectory() as out:
        _time_steps(asked.release, server.url, asked.rounds)
        client = connect(server.url, 5.0)
        for stream in (IMPRESSIONS, FEATURE_ROWS):
            entries = client.xlen(stream)
            print(f"{stream:13}{client.memory_usage(stream, samples=0) / entries:9,.0f} bytes per answer of 20 items")
        started = time.perf_counter()
        told = pull_shown(server.url, Path(out))
        seconds = time.perf_counter() - started
        print(f"pull         {sum(pulled.rows for pulled, _ in told.values()) / seconds:9,.0f} rows/s")


def _time_steps(folder: Path, url: str, rounds: int) -> None:
    os.environ["REDIS_URL"] = url
    pipeline = Pipeline.open(folder)
    traces = [pipeline.trace(user_id=np.array([[b"u%d" % n]], np.object_), record=_no()) for n in range(USERS)]
    hosts = {name: Host(_no_model, _settings(url, *shares)) for name, shares in SHARES.items()}
    matrices = {name: RankingFeatures.open(pipeline.release, host) for name, host in hosts.items()}
    rules = {name: BusinessRules.open(pipeline.release, host) for name, host in hosts.items()}
    spent: dict[tuple[str, str], list[float]] = {}
    for turn in range(rounds):
        for n, trace in enumerate(traces):
            for name in SHARES:
                tensors = {**trace, "record": np.array([[True]])}
                given = {each: tensors[each] for each in MATRIX_FROM}
                began = time.perf_counter()
                tensors |= matrices[name](**given)
                given = _given(tensors, BUSINESS_RULES.takes)
                between = time.perf_counter()
                rules[name](**given, request_id=np.array([f"{turn}-{n}-{name}"], np.object_))
                ended = time.perf_counter()
                spent.setdefault(("ranking_features", name), []).append(between - began)
                spent.setdefault(("business_rules", name), []).append(ended - between)
    for (step, name), seconds in sorted(spent.items()):
        p50, p99 = np.percentile(np.array(seconds[WARM:]) * 1000, [50, 99])
        print(f"{step:17} {name:12} p50 {p50:.3f} ms, p99 {p99:.3f} ms of {len(seconds) - WARM:,} requests")
    for stage in (*rules.values(), pipeline):
        stage.close()


def _settings(url: str, impressions: float, rows: float) -> Settings:
    return Settings(redis_url=url, redis_timeout=1.0, impressions_share=impressions, feature_rows_share=rows)


def _given(tensors: Tensors, specs: tuple) -> Tensors:
    return {spec.name: tensors[RENAMED.get(spec.name, spec.name)] for spec in specs}


def _no() -> np.ndarray:
    return np.array([[False]])


def _no_model(*_: object) -> Tensors:
    raise NotImplementedError("neither step asks another model")


if __name__ == "__main__":
    main()
