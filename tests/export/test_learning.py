from __future__ import annotations

import numpy as np
import pytest

from trident_export.event_log import Log
from trident_export.learning import clicks_between, recency_weights


def test_weights_halve_with_each_share_of_newer_events() -> None:
    weights = recency_weights(np.array([30, 10, 40, 20]), 0.25)
    assert weights / weights[2] == pytest.approx([0.5, 0.125, 1.0, 0.25])
    assert weights.mean() == pytest.approx(1.0)
    assert weights.dtype == np.float32
    assert len(recency_weights(np.empty(0), 0.25)) == 0


def test_clicks_of_a_window_are_drawn_when_there_are_too_many() -> None:
    log = Log.of(
        np.zeros(6, int), np.arange(6), np.arange(6), np.array(["click", "view", "purchase", "click", "click", "like"])
    )
    rng = np.random.default_rng(0)
    assert log.item[clicks_between(log, 0, 4, 99, rng)].tolist() == [0, 2, 3]
    assert len(clicks_between(log, 0, 9, 2, rng)) == 2
