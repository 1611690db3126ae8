from __future__ import annotations

import numpy as np

from trident_export.event_log import Log
from trident_export.impressions import clicked_after, new_views


def log(*events: tuple[int, int, int, str]) -> Log:
    """Events as (user, item, time, kind)."""
    user, item, time, kind = (np.array(column) for column in zip(*events, strict=True))
    return Log.of(user, item, time, kind)


# user 0 sees 1 and clicks it at once, sees 2 and clicks it too late, sees 1 again; user 1 sees 1 and clicks something.
EVENTS = log(
    (0, 1, 10, "view"), (0, 1, 10, "click"), (0, 2, 20, "view"), (0, 2, 90, "click"), (0, 1, 30, "view"),
    (1, 1, 10, "view"), (1, 3, 11, "click"), (1, 4, 200, "view"),
)  # fmt: skip


def test_views_count_once_and_inside_the_window() -> None:
    at = new_views(EVENTS, (0, 100))
    assert list(zip(EVENTS.user[at], EVENTS.item[at], EVENTS.time[at], strict=True)) == [
        (0, 1, 10),
        (0, 2, 20),
        (1, 1, 10),
    ]
    assert EVENTS.item[new_views(EVENTS, (15, 300))].tolist() == [2, 4]


def test_a_click_on_the_item_soon_after_is_the_label() -> None:
    at = new_views(EVENTS, (0, 100))
    assert clicked_after(EVENTS, at, 60, 1000).tolist() == [1, 0, 0]
    assert clicked_after(EVENTS, at, 71, 1000).tolist() == [1, 1, 0]
    assert clicked_after(EVENTS, at, 71, 90).tolist() == [1, 0, 0]
