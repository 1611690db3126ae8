"""Where raw data come from: a made-up marketplace, a folder of yours, or MovieLens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from trident.errors import InvalidInput
from trident_export.data import files, movielens, synthetic
from trident_export.data.dataset import Dataset
from trident_export.data.rules import ValidationRules


@dataclass(frozen=True)
class Source:
    """How to get raw data, and the rules they are validated with."""

    name: str
    about: str  # for the manifest: what it was and with which sizes
    load: Callable[[Path], Dataset]  # writes the dataset to a folder
    rules: ValidationRules | None = None


def synthetic_source(
    users: int = 2_000,
    items: int = 10_000,
    events: int = 300_000,
    days: int = 60,
    seed: int = 7,
    end: datetime | None = None,
) -> Source:
    """The seeded marketplace; see `trident_export.data.synthetic.generate`."""
    sizes: dict[str, Any] = {"users": users, "items": items, "events": events, "days": days, "seed": seed}
    about = "synthetic, " + ", ".join(f"{name} {value}" for name, value in sizes.items())
    return Source("synthetic", about, lambda folder: synthetic.generate(folder, end=end, **sizes))


def files_source(path: Path) -> Source:
    """A folder with events, users and items; see `trident_export.data.files.load`."""
    return Source("files", f"files, {path.name}", lambda folder: files.load(path, folder))


def movielens_source(path: Path) -> Source:
    """A MovieLens folder; see `trident_export.data.movielens.load`."""
    return Source("movielens", f"movielens, {path.name}", lambda folder: movielens.load(path, folder), movielens.RULES)


def folder_source(name: str, path: Path | None) -> Source:
    """The source called `name` that reads the folder `path`; InvalidInput without one."""
    sources = {"files": files_source, "movielens": movielens_source}
    if path is None or name not in sources:
        raise InvalidInput(f"source '{name}': expected a folder to read, with --path, got none")
    return sources[name](path)
