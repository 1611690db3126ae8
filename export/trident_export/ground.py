"""What every step after validation stands on: the log, the windows of the split, and item rows over their time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ibis.backends import BaseBackend

from trident_export.build_config import BuildConfig
from trident_export.catalogue import Catalogue, Users, read_log
from trident_export.data.dataset import Dataset
from trident_export.event_log import Log
from trident_export.features import build_vocabulary
from trident_export.moments import ItemClock, Moments
from trident_export.split import Windows, time_windows

DAY = 86_400


@dataclass(frozen=True)
class Ground:
    """A validated dataset, opened for learning."""

    moments: Moments
    log: Log
    windows: Windows
    items: ItemClock


def lay_ground(dataset: Dataset, config: BuildConfig, engine: str | BaseBackend = "duckdb") -> Ground:
    """Read a validated dataset, split its time line and compute the item rows that the later steps need."""
    vocabulary = build_vocabulary(dataset, engine)
    users, catalogue = Users.read(dataset, vocabulary), Catalogue.read(dataset, vocabulary)
    log = read_log(dataset, users, catalogue, vocabulary)
    windows = time_windows(log.time, config.split)
    moments = Moments(dataset, vocabulary, users, catalogue, engine)
    return Ground(moments, log, windows, moments.items(snapshot_times(windows, config.item_snapshots)))


def snapshot_times(windows: Windows, most: int) -> np.ndarray:
    """When item rows are computed anew: where windows begin, daily between, or as often as `most` allows, at the end.

    The end is the moment that the release describes.
    """
    fixed = [windows.ranker, windows.validation, windows.test, windows.end]
    step = max(DAY, -(-(windows.end - windows.ranker) // max(most - len(fixed), 1)))
    return np.unique([*fixed, *range(windows.ranker, windows.end, step)])
