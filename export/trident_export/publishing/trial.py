"""The trial of a release before it is published: open everything in one process and answer one request."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trident.contract import DEFAULT_LIMIT
from trident.errors import ReleaseError
from trident.pipeline import Pipeline


def trial(folder: Path) -> None:
    """Raise ReleaseError unless the release answers a user nobody knows with as many items as it can.

    The answer is not remembered. A Redis that REDIS_URL names is asked, but none is needed.
    """
    pipeline = Pipeline.open(folder)
    user = np.array([[b"a user nobody knows"]], np.object_)
    answer = pipeline(user_id=user, record=np.array([[False]]))
    items = [item for item in answer["item_id"][0] if item]
    expected = min(DEFAULT_LIMIT, int(answer["funnel"][0, 4]))
    if len(items) != expected or not np.isfinite(answer["score"][0, : len(items)]).all():
        raise ReleaseError(f"trial request: expected {expected} items with finite scores, got {len(items)}")
