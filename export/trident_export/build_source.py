"""What a build starts from: raw data of one source, and how the manifest speaks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from trident_export.data import loading, synthetic
from trident_export.data.dataset import Dataset
from trident_export.data.rules import ValidationRules
from trident_export.data.sizes import DEFAULT


@dataclass(frozen=True)
class Source:
    """How to get raw data, and the rules they are validated with."""

    about: str
    load: Callable[[Path], Dataset]  # writes the dataset to a folder, or opens the one that is there
    rules: ValidationRules


def synthetic_source(
    users: int = DEFAULT.users,
    items: int = DEFAULT.items,
    events: int = DEFAULT.events,
    days: int = DEFAULT.days,
    seed: int = DEFAULT.seed,
    end: datetime | None = None,
    validation: Path | None = None,
) -> Source:
    """A marketplace made for this build, see `synthetic.generate`; `validation` is a TOML file with other rules."""

    def load(folder: Path) -> Dataset:
        return synthetic.generate(folder, users=users, items=items, events=events, days=days, seed=seed, end=end)

    about = f"synthetic: {users} users, {items} items, {events} events, {days} days, seed {seed}"
    return Source(about, load, loading.rules_for("synthetic", validation))


def folder_source(name: str, path: Path | None, validation: Path | None = None) -> Source:
    """Data that lie in a folder: "files", "movielens", or "synthetic" as `trident data synth` leaves them."""
    about = name if path is None else f"{name}: {path.name}"
    rules = loading.rules_for(name, validation)
    return Source(about, lambda folder: loading.load(name, path, folder, rules), rules)
