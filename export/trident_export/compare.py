"""Two releases side by side, by the metrics in their manifests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trident.errors import ReleaseError
from trident.release import Manifest, Release

PROBABILITY = ("auc", "log_loss", "calibration_error")
SLICED = "ndcg@20"  # the metric by which slices are compared


@dataclass(frozen=True)
class Compared:
    """One metric of two releases; `interval` is the 95 % bootstrap interval of each, None where there is none."""

    method: str
    metric: str
    first: float
    second: float
    first_interval: tuple[float, float] | None = None
    second_interval: tuple[float, float] | None = None

    @property
    def difference(self) -> float:
        """The second release minus the first."""
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """The metrics that both releases have, and whether they were asked the same."""

    metrics: tuple[Compared, ...]
    same_test: bool  # the same source, test window and number of requests: differences tell of the models alone

    def as_dict(self) -> dict[str, Any]:
        """The comparison as JSON can hold it."""
        rows = [{**vars(compared), "difference": compared.difference} for compared in self.metrics]
        return {"same_test": self.same_test, "metrics": rows}


def compare(first: Path, second: Path) -> Comparison:
    """Compare two release folders; raise ReleaseError when one is none or has no evaluation to compare."""
    a, b = (_manifest(folder) for folder in (first, second))
    left, right = (_metrics(manifest) for manifest in (a, b))
    rows = [
        Compared(*name, left[name][0], right[name][0], left[name][1], right[name][1]) for name in left if name in right
    ]
    return Comparison(tuple(rows), _asked(a) == _asked(b))


def _manifest(folder: Path) -> Manifest:
    manifest = Release.open(folder).manifest
    if "methods" not in manifest.metrics.get("test", {}):
        raise ReleaseError(
            f"'{folder}': expected the metrics of an evaluation in its manifest, got none: build it anew"
        )
    return manifest


def _metrics(manifest: Manifest) -> dict[tuple[str, str], tuple[float, tuple[float, float] | None]]:
    """(method, metric) → value and interval, in the order of the manifest."""
    test, found = manifest.metrics["test"], {}
    for method, metrics in test["methods"].items():
        for metric, value in metrics.items():
            found[method, metric] = (value, _pair(test.get("intervals", {}).get(method, {}).get(metric)))
    for part, verdict in test.get("slices", {}).items():
        for method, metrics in verdict["means"].items():
            interval = _pair(verdict["intervals"].get(method, {}).get(SLICED))
            found[method, f"{SLICED}, {part}"] = (metrics[SLICED], interval)
    for kind, metrics in test["ranker"].items():
        for metric in (m for m in PROBABILITY if m in metrics):
            interval = metrics.get("intervals", {}).get(metric)
            found[f"ranker on {kind}", metric] = (metrics[metric], _pair(interval))
    return found


def _pair(interval: Any) -> tuple[float, float] | None:
    return None if interval is None else (float(interval[0]), float(interval[1]))


def _asked(manifest: Manifest) -> tuple[Any, ...]:
    data = manifest.data
    return data.get("source"), data.get("windows", {}).get("test"), manifest.metrics["test"]["requests"]
