"""Freshness: what was published lately scores a little higher."""

from __future__ import annotations

import numpy as np

from trident.rules.config import DAY, Rules


def freshness(published_at: np.ndarray, now: int, rules: Rules) -> np.ndarray:
    """The factor 1 + strength · e^(−age / days) per item: (m,) float64; 1 where the publication time is unknown (0)."""
    age = np.maximum(now - published_at, 0) / DAY
    return 1 + np.where(published_at == 0, 0.0, rules.strength * np.exp(-age / rules.days))


def is_new(published_at: np.ndarray, now: int, rules: Rules) -> np.ndarray:
    """Which items (m,) were published less than `new_days` ago: (m,) bool; an unknown publication time (0) is not."""
    return (published_at != 0) & (now - published_at < rules.new_days * DAY)
