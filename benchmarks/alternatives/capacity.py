"""The highest rate at which a server answers everything, 99 of 100 within 100 ms."""

from __future__ import annotations

import math
from collections.abc import Callable

from benchmarks.alternatives.load import Run
from trident.errors import Unavailable

LIMIT_MS = 100.0
STEP = 1.3  # between rates, until the capacity lies between two of them
PRECISION = 1.05  # quotient of the two at which the search ends
LEAST = 0.5  # requests per second
MOST_GENERATOR = 0.85  # share of a core: above it the generator would be what is measured


def capacity(measure: Callable[[float], Run], start: float) -> Run:
    """Measure at one rate after the other and return the run at the highest that was within the limit.

    Raises Unavailable when even `LEAST` is too much, or when the generator was busy all the time: then the run says
    nothing about the server.
    """
    best, too_much, rate = None, math.inf, start
    while best is None or too_much / best.rate > PRECISION:
        run = measure(rate)
        if run.generator > MOST_GENERATOR:
            raise Unavailable(f"at {rate:.0f} requests/s the load generator itself took {run.generator:.0%} of a core")
        if run.within(LIMIT_MS):
            best = run
        else:
            too_much = rate
        rate = _next(best.rate if best else None, too_much)
        if rate < LEAST:
            raise Unavailable(f"no rate down to {LEAST} requests/s was answered within {LIMIT_MS:g} ms")
    return best


def _next(best: float | None, too_much: float) -> float:
    if best is None:
        return too_much / STEP
    return best * STEP if math.isinf(too_much) else math.sqrt(best * too_much)
