"""The candidates that the rules look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Considered:
    """Scored candidates (m,) that may be shown: first those of the pool, best first, then the others, best first."""

    rows: np.ndarray
    score: np.ndarray  # with all boosts
    category: np.ndarray
    new: np.ndarray  # (m,) bool; none is where the rules want no share of new items
    pool: int  # how many of them are in the pool

    def and_then(self, others: Considered) -> Considered:
        """The pool, and after it the others."""
        return Considered(
            np.concatenate((self.rows, others.rows)),
            np.concatenate((self.score, others.score)),
            np.concatenate((self.category, others.category)),
            np.concatenate((self.new, others.new)),
            self.pool,
        )
