"""From raw events to a release folder: the offline path in one function."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.progress import Progress

from trident.features.registry import schema_hash
from trident.release import Manifest, Release
from trident.rules import Rules
from trident_export.baselines import recently_popular
from trident_export.build_config import BuildConfig
from trident_export.build_source import Source
from trident_export.data.progress import progress_bar
from trident_export.data.report import ValidationReport
from trident_export.data.validate import validate
from trident_export.evaluate import Evaluation, evaluate
from trident_export.event_log import UNKNOWN, Requests
from trident_export.features import default_user_row
from trident_export.ground import Ground, lay_ground
from trident_export.index import SearchSettings, build_index, write_index
from trident_export.learning import Ranker, fit_ranker, fit_towers, refit_towers
from trident_export.moments import Scene
from trident_export.ranker import export_ranker
from trident_export.release_page import PAGE, release_page
from trident_export.retrieval import embed
from trident_export.towers import Towers
from trident_export.writer import ServedRows, replacing, write_manifest, write_rows, write_rules

POPULAR = 1_000  # rows in the list of popular items, at most
PARITY_ROWS = 2_000


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
) -> BuildReport:
    """Make the release folder `out` from raw data; intermediates go to `work`, or to a folder that is removed.

    `out` appears, or is replaced, only when everything has succeeded. `rules` is a rules.toml, None for the default
    ones. The same source, config and machine give the same models. Raises InvalidInput for data that cannot be learned
    from, ReleaseError when `out` is taken by something else or a part fails its check.
    """
    config, clock = config or BuildConfig(), StepClock()
    with replacing(Path(out)) as draft, _folder(work) as scratch:
        write_rules(draft, rules)
        with clock.timed("data"):  # reading and validating show bars of their own
            quality = validate(source.load(scratch / "raw"), scratch / "clean", source.rules)
        with clock.step("features"):
            ground = lay_ground(quality.dataset, config)
        with clock.step("towers") as progress:
            first = fit_towers(ground, config, progress)
        with clock.step("ranker") as progress:
            ranker = fit_ranker(ground, first, config, progress)
        with clock.step("towers again") as progress:
            towers = refit_towers(ground, first, config, progress)
        with clock.step("evaluation"):
            evaluation = evaluate(ground, towers, ranker, Rules.read(draft / "rules.toml"), config)
        with clock.step("release"):
            parts = write_parts(draft, ground, towers, ranker, config)
            metrics = measured(first, ranker, evaluation, parts)
            (draft / PAGE).write_text(release_page(metrics, ground.windows.as_dict()), "utf-8")
            manifest = write_manifest(draft, describe(source, quality, ground, towers, parts, metrics))
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


@dataclass(frozen=True)
class Parts:
    """What was measured while the parts of a release were written."""

    search: SearchSettings
    tower_difference: float  # ONNX against torch
    ranker_difference: float  # Treelite against LightGBM, in probability


def write_parts(folder: Path, ground: Ground, towers: Towers, ranker: Ranker, config: BuildConfig) -> Parts:
    """Write everything but the manifest, with rows as of the end of the data; each part is checked as it is written."""
    moments, end = ground.moments, ground.windows.end
    items, scene = ground.items.all_at(end), everyone(ground, end)
    (folder / "user_tower").mkdir()
    tower_difference = towers.export_onnx(folder / "user_tower" / "model.onnx")
    index, search = build_index(towers.item_embeddings(items), embed(towers, scene), seed=config.seed)
    write_index(index, folder / "index.faiss")
    served = ServedRows(
        users=scene.users,
        histories=scene.histories,
        default_user=default_user_row(moments.vocabulary),
        items=items,
        vectors=towers.item_vectors,
        popular=recently_popular(ground.log, end, len(items))[:POPULAR],
    )
    write_rows(folder, moments.known_users, moments.catalogue, moments.vocabulary, served)
    sample = ranker.validation.features[:PARITY_ROWS]
    return Parts(search, tower_difference, export_ranker(ranker.booster, folder / "ranker", sample, config.seed))


def everyone(ground: Ground, time: int) -> Scene:
    """All users as of one moment, in the order of their list."""
    user = np.arange(len(ground.moments.known_users))
    nowhere = np.full(len(user), UNKNOWN)
    return ground.moments.scene(Requests(user, np.full(len(user), time), nowhere, nowhere))


def measured(first: Towers, ranker: Ranker, evaluation: Evaluation, parts: Parts) -> dict[str, Any]:
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
        "parity": {"user_tower": parts.tower_difference, "ranker": parts.ranker_difference},
    }


def describe(
    source: Source,
    quality: ValidationReport,
    ground: Ground,
    towers: Towers,
    parts: Parts,
    metrics: Mapping[str, Any],
) -> Manifest:
    """The manifest of a release, yet without the fingerprints of its files."""
    vocabulary = ground.moments.vocabulary
    return Manifest(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        embedding_space=towers.space,
        feature_schema=schema_hash(vocabulary),
        as_of=ground.windows.end,
        items=len(ground.moments.catalogue),
        users=len(ground.moments.known_users),
        vocabulary=vocabulary.to_dict(),
        search=asdict(parts.search),
        data={"source": source.about, "quality": quality.summary(), "windows": ground.windows.as_dict()},
        metrics=metrics,
    )
