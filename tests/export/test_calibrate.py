from __future__ import annotations

import numpy as np
import pytest

from trident_export.calibrate import LEAST_SLOPE, Line, fit_line, sigmoid


def test_the_line_that_made_the_clicks_is_found() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(-1, 1.5, 20_000)
    labels = (rng.random(len(raw)) < sigmoid(0.6 * raw + 1.1)).astype(int)
    line = fit_line(raw, labels)
    assert (line.slope, line.offset) == pytest.approx((0.6, 1.1), abs=0.05)
    assert line(raw).mean() == pytest.approx(labels.mean(), abs=1e-4)


def test_a_line_rises_whatever_the_clicks_say() -> None:
    rng = np.random.default_rng(1)
    raw = rng.normal(size=4000)
    labels = (rng.random(len(raw)) < sigmoid(-raw)).astype(int)
    line = fit_line(raw, labels)
    assert line.slope == LEAST_SLOPE
    assert line(raw).mean() == pytest.approx(labels.mean(), abs=1e-6)


@pytest.mark.parametrize("labels", [np.zeros(5), np.ones(5), np.empty(0)])
def test_clicks_of_one_kind_change_nothing(labels: np.ndarray) -> None:
    assert fit_line(np.zeros(len(labels)), labels) == Line(1.0, 0.0)


def test_scores_that_separate_the_clicks_give_a_finite_line() -> None:
    line = fit_line(np.array([-3.0, -2.0, 2.0, 3.0]), np.array([0, 0, 1, 1]))
    assert 1.0 < line.slope < 20
    assert np.isfinite(line.offset)
