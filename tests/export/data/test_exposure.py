from __future__ import annotations

import numpy as np
import pytest

from trident_export.data.exposure import exposure
from trident_export.data.marketplace import build_marketplace
from trident_export.data.sessions import VIEW, Day, draw_sessions
from trident_export.data.truth import DAY


def test_exposure_is_how_often_an_item_is_looked_at() -> None:
    start, end = 1_000 * DAY, 1_020 * DAY
    market = build_marketplace(np.random.default_rng(1), users=10, items=100, start=start, end=end)
    at = end - DAY
    rows = draw_sessions(np.random.default_rng(2), market, Day.at(market, at), 10_000)
    user = int(np.bincount(rows.user).argmax())
    seen = rows.item[(rows.user == user) & (rows.type == VIEW)]
    allowed = (market.age[user] >= market.age_limit) & ~market.blocked.any(axis=1)
    counted = np.bincount(seen, minlength=100)[allowed]
    expected = exposure(market.truth, user, at)
    assert expected.sum() == pytest.approx(1, abs=0.1)
    assert np.corrcoef(counted, expected[allowed])[0, 1] > 0.97
