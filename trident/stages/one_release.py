"""A request is answered by one release from end to end: each step compares its own with the one that began it."""

from __future__ import annotations

import numpy as np

from trident.errors import Unavailable
from trident.metrics import Counter

MIXED = Counter(
    "trident_mixed_releases_total", "Requests that a step refused because another release began them.", ("model",)
)


def require_one_release(model: str, release: int, encoder_release: np.ndarray) -> None:
    """Raise Unavailable unless `model`, of release `release`, goes on with its own: `encoder_release` (B, 1) int64."""
    same = encoder_release == release
    if same.all():
        return
    MIXED.add(model=model)
    began = ", ".join(map(str, np.unique(encoder_release[~same]).tolist()))
    raise Unavailable(
        f"this step is of release {release}, and release {began} began the request: no answer mixes releases; "
        "ask again, or look at the versions that the ensemble's config pins"
    )
