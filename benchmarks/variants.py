"""Releases that differ just enough that every answer tells which of them gave it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import lightgbm
import numpy as np

from trident.errors import ReleaseError
from trident.pipeline import Pipeline
from trident.release import Manifest, Release
from trident.rules import Rules
from trident_export.publishing.golden import ask, items_of, write_golden
from trident_export.ranker import export_ranker
from trident_export.writer import write_manifest

FRESHNESS = (0.1, 0.11, 0.12)
"""What each adds to the score of a new item at most: its business rules differ, and so do all scores."""

IMMATERIAL = ("live_updates_stale", "dedup_unavailable")
"""What an answer may lack without being another one, where no item has changed and nothing was shown."""

Answer = tuple[tuple[str, ...], tuple[float, ...]]
"""Item ids and scores, best first."""


def make_variants(release: Path, into: Path) -> list[Path]:
    """Write one release per value of FRESHNESS below `into`; each has one tree less in its forest than the one before.

    Otherwise they are `release`, so that each passes for a new build of the same model.
    """
    made = []
    for number, strength in enumerate(FRESHNESS):
        folder = into / f"variant-{number}"
        shutil.copytree(release, folder)
        _cut_forest(folder / "ranker", number)
        _set_freshness(folder / "rules.toml", strength)
        write_manifest(folder, replace(Release.open(folder).manifest, golden=()))
        write_golden(folder)
        made.append(folder)
    return made


def _cut_forest(folder: Path, fewer: int) -> None:
    """Take the last trees away."""
    booster = lightgbm.Booster(model_file=folder / "model.txt")
    cut = lightgbm.Booster(model_str=booster.model_to_string(num_iteration=booster.num_trees() - fewer))
    export_ranker(cut, folder, np.zeros((8, cut.num_feature()), np.float32))


def _set_freshness(path: Path, strength: float) -> None:
    lines = path.read_text("utf-8").splitlines()
    start = lines.index(next(line for line in lines if line.startswith("[freshness]")))
    place = next(n for n in range(start, len(lines)) if lines[n].startswith("strength"))
    lines[place] = f"strength = {strength}"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    if Rules.read(path).strength != strength:
        raise ReleaseError(f"{path.name}: the freshness could not be set to {strength}")


def answers(release: Path, users: Sequence[str], timestamp: int) -> dict[tuple[str, tuple[str, ...]], Answer]:
    """What a release answers in this process, over the Redis of REDIS_URL: by user and what the answer lacks."""
    pipeline = Pipeline.open(release)
    try:
        found = {}
        for user in users:
            answer = ask(pipeline, user_id=user, timestamp=timestamp)
            items = items_of(answer)
            reasons = answer["degraded"][0, 0].decode().split(",")
            found[user, material(reasons)] = tuple(items), tuple(answer["score"][0, : len(items)].tolist())
        return found
    finally:
        pipeline.close()


def material(reasons: Sequence[str]) -> tuple[str, ...]:
    """Of the reasons of `degraded` those that make it another answer."""
    return tuple(reason for reason in reasons if reason and reason not in IMMATERIAL)


def as_of(release: Path) -> int:
    """The unix second up to which a release has seen events."""
    return Manifest.read(release / "manifest.json").as_of
