"""The baselines of one contest: settings chosen where they may be, lists made where they count.

Each method learns from all clicks before the moment at which it is asked, chooses its settings by NDCG@20 on the
validation window and learns anew, with those, from all clicks before the test window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from trident.contract import CANDIDATES_PER_USER
from trident_export.baselines import HALF_LIFE_DAYS, most_popular, recently_popular, without_touched
from trident_export.collaborative import GRIDS, best_of, clicks_before, combinations, fit
from trident_export.event_log import Log
from trident_export.metrics import ndcg_at
from trident_export.question import Question

DAY = 86_400
CHOSEN_BY = 20  # the k of the NDCG that chooses settings


@dataclass(frozen=True)
class Baseline:
    """One method: the settings that won on the validation window, and its lists on the test window."""

    settings: Mapping[str, Any]
    lists: np.ndarray  # (Q, 500) int64 item rows, -1 pads


@dataclass(frozen=True)
class Stand:
    """A question, and the log before the moment from which on nothing was known."""

    log: Log
    before: int
    asked: Question
    users: int
    items: int
    k: int = CANDIDATES_PER_USER  # items of a list

    def popular(self) -> np.ndarray:
        """Lists of the most popular items."""
        return self._without_touched(most_popular(self.log, self.before, self.items))

    def recent(self, days: float) -> np.ndarray:
        """Lists of the recently popular items, with a half-life in days."""
        return self._without_touched(recently_popular(self.log, self.before, self.items, days * DAY))

    def learned(self, method: str, settings: Mapping[str, Any], days: float, seed: int) -> np.ndarray:
        """Lists of a method of `implicit`; those of `recent` with `days` for users without clicks."""
        clicks = clicks_before(self.log, self.before, self.users, self.items)
        fallback = recently_popular(self.log, self.before, self.items, days * DAY)
        scores, user = fit(method, settings, clicks, seed), self.asked.requests.user
        return best_of(scores, clicks, user, self.asked.touched, fallback, self.k)

    def _without_touched(self, order: np.ndarray) -> np.ndarray:
        return without_touched(order, self.asked.touched, self.k)

    def ndcg(self, lists: np.ndarray) -> float:
        """Mean NDCG@20."""
        return float(ndcg_at(lists, self.asked.relevant, CHOSEN_BY).mean())


def baselines(validation: Stand, test: Stand, seed: int = 0) -> dict[str, Baseline]:
    """All baselines by name; without a question on the validation window the first settings of each grid are taken."""
    choose = len(validation.asked) > 0
    days = max(HALF_LIFE_DAYS, key=lambda d: validation.ndcg(validation.recent(d))) if choose else HALF_LIFE_DAYS[0]
    found = {
        "most popular": Baseline({}, test.popular()),
        "recent popular": Baseline({"half_life_days": days}, test.recent(days)),
    }
    for method in GRIDS:
        grid = combinations(method)
        best = (
            max(grid, key=lambda s: validation.ndcg(validation.learned(method, s, days, seed))) if choose else grid[0]
        )
        found[method] = Baseline(best, test.learned(method, best, days, seed))
    return found
