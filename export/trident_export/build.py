"""From raw events to a release folder: the offline path in one function."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.progress import Progress

from trident.release import Manifest, Release
from trident_export.build_config import BuildConfig
from trident_export.build_source import Source
from trident_export.data.engine import kept
from trident_export.data.progress import progress_bar
from trident_export.data.report import ValidationReport
from trident_export.data.validate import validate
from trident_export.evaluate import Evaluation, evaluate
from trident_export.ground import Ground, lay_ground
from trident_export.index import one_thread
from trident_export.learning import Ranker, fit_ranker, fit_towers, refit_towers
from trident_export.publishing.golden import write_golden
from trident_export.release_page import PAGE, release_page
from trident_export.snapshot import manifest_of, users_at, write_models, write_snapshot
from trident_export.towers import Towers
from trident_export.writer import replacing, write_manifest, write_rules


@dataclass(frozen=True)
class BuildReport:
    """What a build made."""

    folder: Path
    manifest: Manifest
    quality: ValidationReport
    evaluation: Evaluation
    seconds: Mapping[str, float]  # by step

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        shown = ("as_of", "items", "users", "embedding_space", "feature_schema", "data", "search", "metrics")
        facts = {name: getattr(self.manifest, name) for name in shown}
        return {"release": str(self.folder), **facts, "seconds": {k: round(v, 2) for k, v in self.seconds.items()}}


def build(
    source: Source,
    out: Path,
    config: BuildConfig | None = None,
    *,
    rules: Path | None = None,
    work: Path | None = None,
    engine: str = "duckdb",
) -> BuildReport:
    """Make the release folder `out` from raw data; intermediates go to `work`, or to a folder that is removed.

    `out` appears, or is replaced, only when everything has succeeded. `rules` is a rules.toml, None for the default
    ones. `engine`, of `data.engine.ENGINES`, validates and computes user and item features. The same source, config and
    machine give the same models. Raises InvalidInput for data that cannot be learned from, ReleaseError when `out` is
    taken by something else or a part fails its check.
    """
    config, clock = config or BuildConfig(), StepClock()
    with replacing(Path(out)) as draft, _folder(work) as scratch, kept(engine) as at:
        write_rules(draft, rules)
        with clock.timed("data"):  # reading and validating show bars of their own
            quality = validate(source.load(scratch / "raw"), scratch / "clean", source.rules, at)
        with clock.step("features"):
            ground = lay_ground(quality.dataset, config, at)
        with clock.step("towers") as progress:
            first = fit_towers(ground, config, progress)
        with clock.step("ranker") as progress:
            ranker = fit_ranker(ground, first, config, progress)
        with clock.step("towers again") as progress:
            towers = refit_towers(ground, first, config, progress)
        with clock.step("models"):
            parity = write_models(draft, towers, ranker, config.seed)
        with clock.step("evaluation"), TemporaryDirectory(dir=scratch) as past:
            evaluation = evaluate(ground, towers, ranker, config, draft, Path(past))
        with clock.step("release"):
            metrics = measured(first, ranker, evaluation, parity)
            (draft / PAGE).write_text(release_page(metrics, ground.windows.as_dict()), "utf-8")
            write_manifest(draft, write_present(draft, source, quality, ground, towers, metrics, config))
            with one_thread():  # which is what the search sets
                manifest = write_golden(draft)
            Release.open(draft).verify()
    return BuildReport(Path(out), manifest, quality, evaluation, clock.seconds)


class StepClock:
    """Shows that a step of a build is at work and remembers how long it took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time one step."""
        started = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - started

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        """Time one step and show it; what it does in detail may be added to the progress."""
        with self.timed(name), progress_bar(name) as progress:
            yield progress


@contextmanager
def _folder(work: Path | None) -> Iterator[Path]:
    if work is None:
        with TemporaryDirectory(prefix="trident-build-") as folder:
            yield Path(folder)
    else:
        work.mkdir(parents=True, exist_ok=True)
        yield work


def measured(first: Towers, ranker: Ranker, evaluation: Evaluation, parity: Mapping[str, float]) -> dict[str, Any]:
    """The metrics of the manifest; those of the towers come from the ones that were validated on later data."""
    return {
        "test": evaluation.as_dict(),
        "towers": {
            "validation": f"recall@{first.k}",
            "recall": first.best.recall,
            "epoch": first.best.epoch,
            "curve": [{k: v for k, v in asdict(e).items() if k != "seconds"} for e in first.curves],
        },
        "ranker": ranker.trained.as_dict(),
        "parity": parity,
    }


def write_present(
    folder: Path,
    source: Source,
    quality: ValidationReport,
    ground: Ground,
    towers: Towers,
    metrics: Mapping[str, Any],
    config: BuildConfig,
) -> Manifest:
    """Write index, items and users as of the end of the data; returns the manifest, yet without fingerprints."""
    end, moments = ground.windows.end, ground.moments
    everyone = users_at(ground, np.arange(len(moments.known_users)), end)
    search = write_snapshot(
        folder, ground, moments.catalogue, towers, everyone, end, config.seed, config.recall, config.kinds
    )
    data = {"source": source.about, "quality": quality.summary(), "windows": ground.windows.as_dict()}
    return replace(manifest_of(ground, towers, search, end, len(everyone)), data=data, metrics=metrics)
