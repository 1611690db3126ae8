"""When requests are due: seconds after the start, (n,) float64, ascending."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from itertools import pairwise

import numpy as np

from trident.errors import InvalidInput


class Arrivals(str, Enum):
    """How the requests of an open load are spread over time."""

    FIXED = "fixed"  # one every 1/rate seconds
    POISSON = "poisson"  # independent of each other, as from very many users
    PROFILE = "profile"  # as recorded, at the speed at which it was


def fixed(rate: float, seconds: float) -> np.ndarray:
    """One request every 1/rate seconds."""
    return np.arange(max(1, round(rate * seconds))) / rate


def poisson(rate: float, seconds: float, seed: int = 1) -> np.ndarray:
    """As many requests as `fixed` has, at independent times: what lies between two of them is exponential."""
    return np.sort(np.random.default_rng(seed).random(max(1, round(rate * seconds)))) * seconds


def spread(kind: Arrivals, rate: float, seconds: float, seed: int = 1) -> np.ndarray:
    """Requests of `rate` per second for `seconds`; raise InvalidInput for arrivals that have a rate of their own."""
    if kind is Arrivals.PROFILE:
        raise InvalidInput("arrivals at a given rate: expected fixed or poisson, got profile")
    return poisson(rate, seconds, seed) if kind is Arrivals.POISSON else fixed(rate, seconds)


def phases(kind: Arrivals, parts: Sequence[tuple[float, float]], seed: int = 1) -> np.ndarray:
    """Several (rate, seconds) one after the other."""
    starts = np.cumsum([0.0, *(seconds for _, seconds in parts)])
    pieces = [spread(kind, rate, seconds, seed + i) + starts[i] for i, (rate, seconds) in enumerate(parts)]
    return np.concatenate(pieces)


def recorded(times: Sequence[float], seconds: float, runs: int) -> list[np.ndarray]:
    """The recorded arrivals of each of `runs` times `seconds`, in turn; raise InvalidInput when they end before."""
    all_times = np.array(times, np.float64)
    if all_times[-1] < runs * seconds:
        raise InvalidInput(
            f"expected {runs} times {seconds:g} s of recorded arrivals, got {all_times[-1]:.0f} s in all"
        )
    ends = np.searchsorted(all_times, np.arange(runs + 1) * seconds)
    return [all_times[a:b] - i * seconds for i, (a, b) in enumerate(pairwise(ends))]
