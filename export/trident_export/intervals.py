"""Bootstrap intervals: how far a mean over users moves when other users of the same kind had come."""

from __future__ import annotations

import numpy as np

ROUNDS = 1_000
LEVEL = 0.95
_ROUNDS_AT_ONCE = 100


def resampled_means(values: np.ndarray, seed: int = 0, rounds: int = ROUNDS) -> np.ndarray:
    """Means of `values` (Q, M) over Q users drawn with repetition: (rounds, M) float64; NaN values are left out.

    All columns see the same draws, so that differences between them are paired.
    """
    rng, users = np.random.default_rng(seed), len(values)
    known = np.isfinite(values)
    filled, counted = np.where(known, values, 0.0), known.astype(np.float64)
    means = np.full((rounds, values.shape[1]), np.nan)
    for start in range(0, rounds if users else 0, _ROUNDS_AT_ONCE):
        part = slice(start, min(start + _ROUNDS_AT_ONCE, rounds))
        times = rng.multinomial(users, np.full(users, 1 / users), part.stop - start).astype(np.float64)
        sums, counts = times @ filled, times @ counted
        np.divide(sums, counts, out=means[part], where=counts > 0)
    return means


def interval(means: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of resampled means (rounds,); NaN when there is none."""
    known = means[np.isfinite(means)]
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
