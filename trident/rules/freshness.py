"""Freshness: what was published lately scores a little higher."""

from __future__ import annotations

import numba
import numpy as np

from trident.rules.config import DAY, Rules


def freshness(published_at: np.ndarray, now: int, rules: Rules) -> np.ndarray:
    """The factor 1 + strength · e^(−age / days) per item: (m,) float64; 1 where the publication time is unknown (0)."""
    return 1 + rules.strength * np.exp(_exponents(published_at, now, float(rules.days)))


@numba.njit(cache=True, nogil=True)
def _exponents(published_at, now, days):
    exponents = np.empty(len(published_at))
    for i in range(len(published_at)):
        age = max(now - published_at[i], 0) / DAY
        exponents[i] = -age / days if published_at[i] else -np.inf
    return exponents


def is_new(published_at: np.ndarray, now: int, rules: Rules) -> np.ndarray:
    """Which items (m,) were published less than `new_days` ago: (m,) bool; an unknown publication time (0) is not."""
    return (published_at != 0) & (now - published_at < rules.new_days * DAY)
