"""The three sources by name."""

from __future__ import annotations

from pathlib import Path

from trident.errors import InvalidInput
from trident_export.data import files, movielens, synthetic
from trident_export.data.dataset import Dataset
from trident_export.data.rules import ValidationRules

SOURCES = ("synthetic", "files", "movielens")


def load(source: str, path: Path | None, out: Path) -> Dataset:
    """Make the dataset that `source` names, from `path`, in the folder `out`.

    Synthetic data that `trident data synth` wrote is used where it lies; without a path it is generated in default
    sizes. Raises InvalidInput for an unknown source or a path that is missing or not of that source.
    """
    if source not in SOURCES:
        raise InvalidInput(f"source: expected one of {', '.join(SOURCES)}, got {source!r}")
    if source == "synthetic":
        return Dataset.open(path) if path is not None else synthetic.generate(out)
    if path is None:
        raise InvalidInput(f"source '{source}': expected a path to the folder with the data, got none")
    return movielens.load(path, out) if source == "movielens" else files.load(path, out)


def rules(source: str) -> ValidationRules:
    """The validation that suits a source."""
    return movielens.RULES if source == "movielens" else ValidationRules()
