"""What scores a checkpoint: the kernel, or Treelite's own evaluation for a forest that it cannot take."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import treelite

from trident.forest.checkpoint import UnsupportedForest, open_checkpoint
from trident.forest.forest import Forest

log = logging.getLogger(__name__)


def predictor(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What scores rows (n, features) float32 as (n, 1): our kernel, or Treelite for a forest that it cannot take."""
    try:
        return Forest.read(path).predict
    except UnsupportedForest as reason:
        log.warning("ranker: %s; Treelite's reference evaluation scores it, which is slower", reason)
        model = open_checkpoint(path)
        return lambda rows: treelite.gtil.predict(model, rows, nthread=1).reshape(len(rows), 1).astype(np.float32)
