"""Does a series grow? The slope of a line through it with a confidence interval that knows of its memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Z95 = 1.959964


@dataclass(frozen=True)
class Slope:
    """A slope per unit of time with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def distinguishable(self) -> bool:
        """Whether 0 lies outside the interval."""
        return not self.low <= 0.0 <= self.high


def slope(times: np.ndarray, values: np.ndarray) -> Slope:
    """Least squares through (n,) points, n at least 4.

    Neighbouring values of a process's memory are alike, so n of them tell less than n independent ones: the interval is
    that of n·(1 − r)/(1 + r) values, where r is the correlation of neighbouring residuals.
    """
    centred = times - times.mean()
    spread = float(centred @ centred)
    value = float(centred @ values) / spread
    rest = values - values.mean() - value * centred
    power = float(rest @ rest)
    if power <= 1e-18 * float(values @ values):  # the points lie on the line, to rounding
        flat = abs(value) * float(np.ptp(times)) <= 1e-9 * float(np.abs(values).max())
        return Slope(0.0, 0.0, 0.0) if flat else Slope(value, value, value)
    r = min(0.99, max(0.0, float(rest[1:] @ rest[:-1]) / power))
    freedom = max(1.0, len(times) * (1 - r) / (1 + r) - 2)
    wide = student95(freedom) * np.sqrt(power / (len(times) - 2) / spread * (1 + r) / (1 - r))
    return Slope(value, value - float(wide), value + float(wide))


def student95(freedom: float) -> float:
    """The 97.5 % point of Student's t by its expansion in 1/freedom: 1 % off at 3 degrees of freedom, more below."""
    z, v = Z95, freedom
    return float(
        z + (z**3 + z) / (4 * v) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )  # fmt: skip
